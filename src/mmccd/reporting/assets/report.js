"use strict";
// Everything works without this script but sorting, copying, the theme button and the viewer.

(() => {
  const root = document.documentElement;
  const remembered = (value) => {
    try { // storage may be closed to local files
      if (value) localStorage.setItem("mmccd-theme", value);
      return localStorage.getItem("mmccd-theme");
    } catch { return null; }
  };
  const theme = remembered();
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    remembered(root.dataset.theme);
  });
})();

// --- tables: what is in them is sorted by what is shown, numbers as numbers, and what is not there comes last ---

(() => {
  const numberOf = (text) => {
    const number = parseFloat(text.replace(/,/g, ""));
    return /^[-+\d.]/.test(text) && !Number.isNaN(number) ? number : null;
  };
  const collator = new Intl.Collator("en", { numeric: true });
  const sorted = (rows, textOf, numeric, direction) => {
    const keyed = rows.map((row) => { const text = textOf(row); return { row, value: numeric ? numberOf(text) : text }; });
    keyed.sort(({ value: a }, { value: b }) => {
      if (!numeric) return direction * collator.compare(a, b);
      if (a === null || b === null) return (a === null) - (b === null);
      return direction * (a - b);
    });
    return keyed.map(({ row }) => row);
  };
  const sortable = (table, sort) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const numeric = head.classList.contains("num");
        const first = numeric ? "descending" : "ascending";
        const next = now === null ? first : now === "ascending" ? "descending" : "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", next);
        sort(column, numeric, next === "ascending" ? 1 : -1);
      });
    });
  };

  for (const table of document.querySelectorAll("table.sortable:not(.paged)")) {
    const body = table.tBodies[0];
    sortable(table, (column, numeric, direction) =>
      body.append(...sorted([...body.rows], (row) => row.cells[column].textContent.trim(), numeric, direction)));
  }

  // Many rows are data, [name, key, page, badges, ...cells], of which a few are in the document at a time.
  const few = 50;
  const show = (card, table) => {
    const { badges, pages, rows } = JSON.parse(document.getElementById(table.dataset.rows).textContent);
    const heads = [...table.tHead.rows[0].cells];
    const numeric = heads.map((head) => head.classList.contains("num"));
    const stateOf = (row) => row[3] ? row[3].map((badge) => badges[badge][0]).join(", ") : "";
    const textOf = (row, column) => column === 0 ? row[0] : column + 3 < row.length ? row[column + 3] : stateOf(row);
    const [find, state, place, pager] = ["[data-find]", "[data-state]", "[data-place]", ".pager"].map((what) => card.querySelector(what));
    const button = Object.fromEntries([...pager.children].map((one) => [one.dataset.go, one]));
    let [ordered, kept, from] = [rows, rows, 0];

    const cell = (text, kind) => Object.assign(document.createElement("td"), { textContent: text, className: kind });
    const line = (row, index) => {
      const [name, key, page, marks, ...cells] = row;
      const tr = document.createElement("tr");
      tr.setAttribute("aria-rowindex", index + 2);
      const head = tr.appendChild(Object.assign(document.createElement("th"), { scope: "row" }));
      if (key) {
        const link = head.appendChild(document.createElement("a"));
        link.href = `${pages && page > 1 ? pages.replace("*", page) : ""}#case-${key}`;
        link.textContent = name;
      } else {
        head.textContent = name;
        if (marks) tr.className = "absent";
      }
      tr.append(...cells.map((text, column) => cell(text, numeric[column + 1] ? "num" : "")));
      if (marks) {
        const last = tr.appendChild(cell("", ""));
        for (const mark of marks) {
          const badge = Object.assign(document.createElement("span"), { textContent: badges[mark][0], className: `badge ${badges[mark][1]}` });
          last.append(badge, " ");
        }
      }
      return tr;
    };
    const number = (count) => count.toLocaleString("en");
    const draw = (at) => {
      const last = Math.max(0, Math.ceil(kept.length / few) - 1) * few;
      from = Math.min(Math.max(0, at), last);
      table.tBodies[0].replaceChildren(...kept.slice(from, from + few).map((row, index) => line(row, from + index)));
      table.setAttribute("aria-rowcount", kept.length + 1);
      const of = kept.length === rows.length ? number(rows.length) : `${number(kept.length)} found among ${number(rows.length)}`;
      place.textContent = kept.length ? `${number(from + 1)} to ${number(Math.min(from + few, kept.length))} of ${of}` : `none found among ${number(rows.length)}`;
      // Not `disabled`: a button that is pressed at the end keeps the focus.
      for (const [go, off] of [["first", from === 0], ["previous", from === 0], ["next", from >= last], ["last", from >= last]]) {
        button[go].setAttribute("aria-disabled", off);
      }
    };
    const filter = () => {
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      const fits = (row) => {
        if (state.value && !row[3]?.includes(Number(state.value))) return false;
        if (!words.length) return true;
        const text = `${row[0]} ${row[3] ? stateOf(row) : row.slice(4).join(" ")}`.toLowerCase();
        return words.every((word) => text.includes(word));
      };
      kept = ordered.filter(fits);
      draw(0);
    };
    sortable(table, (column, isNumber, direction) => {
      ordered = sorted(rows, (row) => textOf(row, column), isNumber, direction);
      filter();
    });
    find.addEventListener("input", filter);
    state.addEventListener("change", filter);
    const to = { first: () => 0, previous: () => from - few, next: () => from + few, last: () => kept.length };
    pager.addEventListener("click", ({ target }) => {
      if (!(target.dataset.go in to) || target.getAttribute("aria-disabled") === "true") return;
      draw(to[target.dataset.go]());
      if (table.getBoundingClientRect().top < 0) card.scrollIntoView({ block: "start" });
    });
    const there = new Set(rows.flatMap((row) => row[3] ?? []));
    for (const mark of [...there].sort((a, b) => a - b)) {
      state.append(Object.assign(document.createElement("option"), { value: mark, textContent: badges[mark][0] }));
    }
    card.querySelector("[data-states]").hidden = there.size < 2;
    card.querySelector(".table-tools").hidden = pager.hidden = false;
    draw(0);
  };
  for (const table of document.querySelectorAll("table.paged")) show(table.closest(".table-card"), table);
})();

// --- copying ---

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    const lines = [...source.querySelectorAll("p, li")];
    const text = lines.map((line) => (line.matches("li") ? `[${[...line.parentNode.children].indexOf(line) + 1}] ` : "")
      + line.textContent.trim().replace(/\s+/g, " ")).join("\n");
    const told = button.parentNode.querySelector("[role=status]");
    try {
      await navigator.clipboard.writeText(text);
      told.textContent = "Copied.";
    } catch { // no clipboard here: select it, so that a keystroke copies it
      getSelection().selectAllChildren(source);
      told.textContent = "Selected: press Ctrl+C or ⌘C.";
    }
  });
}

// --- viewer: made when it is opened, one at a time ---

(() => {
  const template = document.getElementById("viewer-template");
  if (!template || typeof niivue === "undefined") return;
  let open = null;

  const data = (key, kind) => document.getElementById(`${key}-${kind}`).textContent.trim();

  const close = () => {
    if (!open) return;
    const { viewer, box, place } = open;
    open = null;
    viewer.gl?.getExtension("WEBGL_lose_context")?.loseContext(); // browsers allow few contexts
    box.remove();
    const button = place.querySelector(".open-viewer");
    for (const child of place.children) child.hidden = false;
    button.setAttribute("aria-expanded", "false");
    return button;
  };

  const show = async (place) => {
    close();
    const key = place.dataset.case;
    const threshold = Number(place.dataset.threshold);
    const middle = place.dataset.middle.split(",").map(Number);
    const box = template.content.firstElementChild.cloneNode(true);
    for (const child of place.children) child.hidden = true;
    place.append(box);
    place.querySelector(".open-viewer").setAttribute("aria-expanded", "true");
    const canvas = box.querySelector("canvas");
    const status = box.querySelector(".viewer-status");
    canvas.setAttribute("aria-label", `Interactive viewer of ${place.dataset.name}. Arrow keys move through the slices.`);
    status.textContent = "Loading…";
    if (!document.createElement("canvas").getContext("webgl2")) {
      status.textContent = "This browser has no WebGL 2, which the viewer needs. The pictures above show the same finding.";
      canvas.remove();
      open = { viewer: {}, box, place };
      box.querySelector("[data-close]").addEventListener("click", () => close()?.focus());
      return;
    }
    const viewer = new niivue.Niivue({
      backColor: [0, 0, 0, 1], crosshairColor: [0.6, 0.63, 0.65, 1], crosshairWidth: 0.4, crosshairWidthUnit: "mm", crosshairGap: 8,
      isRadiologicalConvention: true, sagittalNoseLeft: true, dragAndDropEnabled: false, logLevel: "silent",
      multiplanarForceRender: true, multiplanarLayout: niivue.MULTIPLANAR_TYPE.GRID, multiplanarPadPixels: 12, isColorbar: false, fontColor: [0.6, 0.63, 0.65, 1], show3Dcrosshair: true, loadingText: "",
      scrollRequiresFocus: true, fontSizeScaling: 0.35,
    });
    open = { viewer, box, place };
    viewer.onLocationChange = ({ mm, values }) => {
      const at = [["R", "L"], ["A", "P"], ["S", "I"]].map(([more, less], axis) => {
        const from = mm[axis] - middle[axis];
        return `${from >= 0 ? more : less} ${Math.abs(from).toFixed(0)}`;
      }).join("  ");
      const found = values?.find((value) => value.name === "map.nii.gz");
      status.textContent = `${at} mm` + (found ? `   anomaly ${found.value.toFixed(2)} ${place.dataset.unit}` : "");
    };
    await viewer.attachToCanvas(canvas);
    viewer.addColormap("expert", { R: [0, 77], G: [0, 208], B: [0, 225], A: [0, 255], I: [0, 255] });
    const image = (kind, options) => niivue.NVImage.loadFromBase64({ base64: data(key, kind), name: `${kind}.nii.gz`, ...options });
    const at = {};
    const add = async (kind, options) => {
      if (!data(key, kind)) return;
      viewer.addVolume(await image(kind, options));
      at[kind] = viewer.volumes.length - 1;
    };
    await add("scan", { colormap: "gray", cal_min: 0, cal_max: 255 });
    await add("map", { colormap: "inferno", cal_min: threshold, cal_max: 3 * threshold, opacity: 0.7 });
    await add("expert", { colormap: "expert", cal_min: 0, cal_max: 1, opacity: 0.4 });
    if (open?.viewer !== viewer) return; // closed while it was loading
    if (!("scan" in at)) viewer.setOpacity(at.map, 1);

    const output = box.querySelector("output");
    const above = box.querySelector("[data-above]");
    const cut = () => {
      const value = threshold * Number(above.value) / 100;
      output.textContent = `${value.toPrecision(3)} ${place.dataset.unit}`;
      viewer.volumes[at.map].cal_min = value;
      viewer.volumes[at.map].cal_max = Math.max(3 * threshold, value + threshold);
      viewer.updateGLVolume();
    };
    above.addEventListener("input", cut);
    box.querySelector("[data-opacity]").addEventListener("input", (event) => viewer.setOpacity(at.map, Number(event.target.value) / 100));
    const expert = box.querySelector("[data-expert]");
    if ("expert" in at) expert.addEventListener("change", () => viewer.setOpacity(at.expert, expert.checked ? 0.4 : 0));
    else expert.parentNode.remove();
    const views = { multi: viewer.sliceTypeMultiplanar, axial: viewer.sliceTypeAxial, coronal: viewer.sliceTypeCoronal,
      sagittal: viewer.sliceTypeSagittal, render: viewer.sliceTypeRender };
    for (const button of box.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => {
        for (const other of box.querySelectorAll("[data-view]")) other.setAttribute("aria-pressed", String(other === button));
        viewer.setSliceType(views[button.dataset.view]);
      });
    }
    const steps = { ArrowUp: [0, 0, 1], ArrowDown: [0, 0, -1], ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], PageUp: [0, 1, 0], PageDown: [0, -1, 0] };
    canvas.addEventListener("keydown", (event) => {
      if (!(event.key in steps)) return;
      event.preventDefault();
      event.stopPropagation();
      viewer.moveCrosshairInVox(...steps[event.key]);
    }, { capture: true });
    box.querySelector("[data-close]").addEventListener("click", () => close()?.focus());
    viewer.setSliceType(views.multi);
    const centre = place.dataset.centre ? place.dataset.centre.split(",").map(Number) : null;
    if (centre) {
      viewer.scene.crosshairPos = viewer.mm2frac(centre);
      viewer.drawScene();
    }
    cut();
    viewer.createOnLocationChange();
    canvas.focus({ preventScroll: true });
    box.dataset.ready = "yes";
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".open-viewer");
    if (button) show(button.parentNode).catch((error) => {
      const status = open?.box.querySelector(".viewer-status");
      if (status) status.textContent = `The viewer could not be started: ${error.message}`;
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && open) close()?.focus();
  });
})();
