"""What the methods rest on, as it is cited."""

MMCCD = (
    "Liang Z, Anthony H, Wagner F, Kamnitsas K. Modality Cycles with Masked Conditional Diffusion for Unsupervised "
    "Anomaly Segmentation in MRI. MICCAI Workshops, 2023. arXiv:2308.16150."
)
DDPM = "Ho J, Jain A, Abbeel P. Denoising Diffusion Probabilistic Models. NeurIPS, 2020. arXiv:2006.11239."
DDIM = "Song J, Meng C, Ermon S. Denoising Diffusion Implicit Models. ICLR, 2021. arXiv:2010.02502."
COARSE_NOISE = (
    "Kascenas A, Pugeault N, O'Neil AQ. Denoising Autoencoders for Unsupervised Anomaly Detection in Brain MRI. MIDL, "
    "2022.",
    "Kascenas A, et al. The role of noise in denoising models for anomaly detection in medical images. Medical Image "
    "Analysis 90, 2023. arXiv:2301.08330.",
)
HETEROSCEDASTIC = (
    "Nix DA, Weigend AS. Estimating the mean and variance of the target probability distribution. IEEE International "
    "Conference on Neural Networks, 1994."
)
AUTOENCODERS = (
    "Baur C, Denner S, Wiestler B, Navab N, Albarqouni S. Autoencoders for unsupervised anomaly segmentation in brain "
    "MR images: A comparative study. Medical Image Analysis 69, 2021. arXiv:2004.03271."
)
MONAI = "Cardoso MJ, et al. MONAI: An open-source framework for deep learning in healthcare. 2022. arXiv:2211.02701."
VAE = "Kingma DP, Welling M. Auto-Encoding Variational Bayes. ICLR, 2014. arXiv:1312.6114."
ANODDPM = (
    "Wyatt J, Leach A, Schmon SM, Willcocks CG. AnoDDPM: Anomaly Detection with Denoising Diffusion Probabilistic "
    "Models using Simplex Noise. CVPR Workshops, 2022."
)
PDDPM = (
    "Behrendt F, Bhattacharya D, Krüger J, Opfer R, Schlaefer A. Patched Diffusion Models for Unsupervised Anomaly "
    "Detection in Brain MRI. MIDL, 2023. arXiv:2303.03758."
)
