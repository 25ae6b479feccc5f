// A page from disk may not fetch its neighbours, so the search shows titles and places without an excerpt there.
if (location.protocol === "file:") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}
