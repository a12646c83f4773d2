import { type Answer, tooLong } from "./answer.js";
import { BlindscoreError } from "./errors.js";

/**
 * Sends a PUT by XMLHttpRequest, which reports progress. It always follows redirects: the answer of
 * another server is refused, but the body has then been sent there, if that server allows it.
 */
export function send(
  url: string,
  headers: Record<string, string>,
  body: Uint8Array,
  limit: number,
  onProgress: (fraction: number) => void,
  signal: AbortSignal,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal.addEventListener("abort", abort);
    request.responseType = "arraybuffer";
    request.onloadend = () => signal.removeEventListener("abort", abort);
    request.onload = () => {
      const body = new Uint8Array(request.response as ArrayBuffer);
      if (body.length > limit) return reject(tooLong(limit));
      if (new URL(request.responseURL).href !== new URL(url, location.href).href) {
        return reject(
          new BlindscoreError("redirected", `the upload was redirected to ${request.responseURL}: connect to that address, if it is the right one`),
        );
      }
      resolve({ status: request.status, headers: headersOf(request), body });
    };
    request.onerror = () => reject(new Error("the request failed"));
    request.onabort = () => reject((signal.reason as Error | undefined) ?? new Error("the request was aborted"));
    request.onprogress = ({ loaded }) => {
      if (loaded <= limit) return;
      reject(tooLong(limit));
      request.abort();
    };
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / Math.max(total, 1));
    request.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    // Chromium sends a blob 25% faster than the same bytes.
    request.send(new Blob([body as Uint8Array<ArrayBuffer>]));
  });
}

function headersOf(request: XMLHttpRequest): Headers {
  const lines = request.getAllResponseHeaders().split("\r\n").filter(Boolean);
  return new Headers(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
  );
}
