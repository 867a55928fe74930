// The fonts are the reader's own: nothing is fetched from anywhere else.
Redoc.init(
  "/api/schema/",
  {
    hideDownloadButton: false,
    theme: { typography: { fontFamily: "system-ui, sans-serif", headings: { fontFamily: "system-ui, sans-serif" } } },
  },
  document.getElementById("redoc-container"),
);
