// ReDoc asks for its logo beneath the page's own address; a slash at the end of that one would be doubled.
history.replaceState(null, "", location.pathname.replace(/\/+$/, "") + location.hash);
// The fonts are the reader's own: nothing is fetched from anywhere else.
Redoc.init(
  "/api/schema/",
  {
    hideDownloadButton: false,
    theme: { typography: { fontFamily: "system-ui, sans-serif", headings: { fontFamily: "system-ui, sans-serif" } } },
  },
  document.getElementById("redoc-container"),
);
