// Words for errors: what happened, and what to do.
import type { Trouble } from "./messages";

const BY_CODE: Record<string, string> = {
  network: "The server can’t be reached. Check your connection, then try again.",
  timeout: "The server took too long. Try again.",
  overloaded: "The server is busy. Wait a few seconds, then try again.",
  store_unavailable: "The server can’t reach its key store right now. Wait a few seconds, then try again.",
  internal: "Something broke on the server. Try again; if it stays broken, come back later.",
  model_not_found: "This server has no digit model any more. Reload the page.",
  worker: "The encryption code did not start. Reload the page; if that doesn’t help, update your browser.",
};

const BY_RECOVERY: Record<Trouble["recovery"], string> = {
  upload_key: "The server no longer has your public key. Try again to upload it.",
  refresh_model: "The model has changed since this page was loaded. Try again; if that fails, reload the page.",
  retry: "That didn’t work this time. Wait a few seconds, then try again.",
  none: "That didn’t work. Reload the page to start afresh.",
};

export function advice({ code, recovery, message }: Trouble): string {
  const words = BY_CODE[code] ?? BY_RECOVERY[recovery] ?? BY_RECOVERY.none;
  return code === "unexpected" && message ? `${words} (${message})` : words;
}
