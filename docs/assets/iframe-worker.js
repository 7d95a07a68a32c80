/* Lets the search work when a page is opened from a disk (file:), where browsers start no worker from a file:
   the worker's script runs in a hidden frame instead. Over HTTP nothing is changed. */
(() => {
  if (location.protocol !== "file:") return;
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const base = new URL(url, location);
      this.onmessage = null;
      this.onerror = null;
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      const scope = this.frame.contentWindow;
      const send = data => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        if (this.onmessage) this.onmessage(event);
      };
      scope.importScripts = (...urls) =>
        urls.reduce((done, next) => done.then(() => load(next)), Promise.resolve());
      const load = source => new Promise((resolve, reject) => {
        const script = scope.document.createElement("script");
        script.src = new URL(source, base);
        script.onload = resolve;
        script.onerror = reject;
        scope.document.body.appendChild(script);
      });
      scope.postMessage = send;
      this.scope = scope;
      this.ready = load(base);
      this.ready.catch(error => this.onerror && this.onerror(error));
    }
    postMessage(data) {
      this.ready.then(() => {
        const event = new this.scope.MessageEvent("message", { data });
        this.scope.dispatchEvent(event);
      });
    }
    terminate() { this.frame.remove(); }
  };
})();
