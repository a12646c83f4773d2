// Error messages for people: what happened, and what happens next.
import type { Trouble } from "../messages";

const BY_CODE: Record<string, string> = {
  offline: "You are offline. You can go on; nothing can be scored until the connection is back.",
  network: "The server can’t be reached. It may be restarting.",
  timeout: "The server doesn’t answer. It may be busy, or the connection slow.",
  overloaded: "The server is busy with other people’s queries.",
  query_budget_spent: "This page has reached the server’s limit for today.",
  rate_limited: "This page has sent too many requests in a short time.",
  store_full: "The server’s disk is full, so it can’t keep your public key.",
  store_unavailable: "The server can’t reach the place where it keeps keys.",
  internal: "Something broke on the server.",
  model_changed: "The model is not the one that this page began with, so nothing more was sent to it. Reload the page to go on with the new one.",
  model_not_found: "This server doesn’t have the model of this demo. Reload the page, or take the other demo.",
  unsupported_format: "This page is older than the server. Reload it.",
  wasm_load: "The encryption code could not be loaded.",
  worker: "The encryption code did not start. Reload the page; if that doesn’t help, update your browser.",
};

const BY_RECOVERY: Record<Trouble["recovery"], string> = {
  upload_key: "The server has lost your public key and rejects a new upload.",
  refresh_model: "The model has changed since this page was loaded. Reload the page.",
  retry: "That didn’t work this time.",
  none: "That didn’t work. Reload the page to start afresh.",
};

export function advice({ code, recovery, message }: Trouble): string {
  const words = BY_CODE[code] ?? BY_RECOVERY[recovery] ?? BY_RECOVERY.none;
  return code === "unexpected" && message ? `${words} (${message})` : words;
}
