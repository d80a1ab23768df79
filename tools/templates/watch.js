// Keeps what goes wrong on the page where a test, or a person who reports it, can read it.
(() => {
  const problems = [];
  const note = (text) => {
    problems.push(String(text));
    document.documentElement.dataset.problems = JSON.stringify(problems);
  };
  addEventListener("error", (event) => note(event.message));
  addEventListener("unhandledrejection", (event) => note(event.reason));
  addEventListener("securitypolicyviolation", (event) =>
    note(`${event.violatedDirective} forbids ${event.blockedURI}`));
})();
