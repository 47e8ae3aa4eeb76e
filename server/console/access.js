// Who the page is to the server. What it is given is in memory alone: what is stored can be stolen.
import { $ } from "./dom.js";

let credential = "";
let name = "";

// start has f called when somebody else is to be.
export function start(f) {
  $("who").onsubmit = event => {
    event.preventDefault();
    credential = $("credential").value.trim();
    name = $("member").value.trim();
    delete $("access").dataset.wanted;
    f();
  };
}

// token returns what connections are opened with. Keys are none of it: servers take them in the
// header Authorization only, which a page cannot set for a WebSocket.
export function token() {
  return credential.startsWith("eyJ") && credential.split(".").length === 3 ? credential : "";
}

// hasKey says that publishing takes the header.
export const hasKey = () => credential !== "" && !token();

export const headers = () => credential ? { Authorization: `Bearer ${credential}` } : {};

// member returns who the page says to be, where servers take no tokens.
export const member = () => name;

// explained says why an answer is a no. Where another credential would help it shows where one
// is given.
export function explained({ status, detail }) {
  if (status !== 401) return detail || `The answer was ${status}.`;
  $("access").open = true;
  $("access").dataset.wanted = "";
  return credential ? `${detail} Give another under Access.` : "This needs a token or a key: give it under Access.";
}
