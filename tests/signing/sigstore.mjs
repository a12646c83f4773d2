// A Sigstore for a dry run: it gives out certificates and logs signatures as the public one does,
// with keys that end with this process. Writes into a folder what its clients have to trust, and
// tokens of two workflows.
// node sigstore.mjs FOLDER VERSION
import { createHash, generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { fulcioHandler, initializeCA, initializeCTLog, initializeTLog, rekorHandler } from "@sigstore/mock";

const [folder, version] = process.argv.slice(2);
const ISSUER = "https://token.actions.githubusercontent.com";
const WORKFLOW = "blindscore/blindscore/.github/workflows/release.yml";
/** Seconds that a token is valid for. */
const VALID = 600;

const keyPair = () => generateKeyPairSync("ec", { namedCurve: "P-256" });
const started = new Date(Date.now() - 60_000).toISOString();
const validFor = { start: started };

const certificates = await initializeCTLog(keyPair());
const authority = await initializeCA(keyPair(), certificates);
const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const url = `http://127.0.0.1:${server.address().port}`;
const log = await initializeTLog(url, keyPair());

const signing = fulcioHandler(authority);
const logging = rekorHandler(log);

/** Returns a request for a certificate as the handler reads it. Clients send the token as a header. */
function certificateRequest(request, body) {
  const { certificateSigningRequest } = JSON.parse(body);
  return JSON.stringify({
    certificateSigningRequest: Buffer.from(certificateSigningRequest, "base64").toString(),
    credentials: { oidcIdentityToken: request.headers.authorization.slice("Bearer ".length) },
  });
}

server.on("request", async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  if (request.url !== signing.path && request.url !== logging.path) {
    response.writeHead(404).end();
    return;
  }
  const answer = request.url === signing.path ? await signing.fn(certificateRequest(request, body)) : await logging.fn(body);
  response.writeHead(answer.statusCode, { "content-type": answer.contentType ?? "text/plain" }).end(answer.response);
});

const base64 = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
const trustedLog = (key, id) => ({
  baseUrl: url,
  hashAlgorithm: "SHA2_256",
  publicKey: { rawBytes: base64(key), keyDetails: "PKIX_ECDSA_P256_SHA_256", validFor },
  logId: { keyId: base64(id) },
});
const service = { url, majorApiVersion: 1, validFor, operator: "dry run" };

const trust = {
  mediaType: "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
  trustedRoot: {
    mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    tlogs: [trustedLog(log.publicKey, createHash("sha256").update(log.publicKey).digest())],
    certificateAuthorities: [
      {
        subject: { organization: "dry run", commonName: "dry run" },
        uri: url,
        certChain: { certificates: [{ rawBytes: base64(authority.rootCertificate) }] },
        validFor,
      },
    ],
    ctlogs: [trustedLog(certificates.publicKey, certificates.logID)],
    timestampAuthorities: [],
  },
  signingConfig: {
    mediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json",
    caUrls: [service],
    oidcUrls: [service],
    rekorTlogUrls: [service],
    rekorTlogConfig: { selector: "ANY" },
    tsaUrls: [],
    tsaConfig: { selector: "ANY" },
  },
};
writeFileSync(join(folder, "trust.json"), JSON.stringify(trust));

/** Returns the token of a workflow. Nobody checks its signature: that would be Fulcio's part. */
function token(ref) {
  const now = Math.floor(Date.now() / 1000);
  const workflow = `${WORKFLOW}@${ref}`;
  // The handler takes the name for certificates from `sub`; Fulcio makes it of the workflow.
  const claims = { iss: ISSUER, aud: "sigstore", sub: `https://github.com/${workflow}`, job_workflow_ref: workflow, iat: now, exp: now + VALID };
  const encoded = [{ alg: "none", typ: "JWT" }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
  return [...encoded, "none"].join(".");
}
writeFileSync(join(folder, "release"), token(`refs/tags/v${version}`));
writeFileSync(join(folder, "elsewhere"), token("refs/heads/main"));
console.log("ready");
