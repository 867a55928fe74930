// Shows the document of this very server; the token given to "Authorize" stays in the page and is gone with it.
SwaggerUIBundle({
  url: "/api/schema/",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
