import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { names, running, type Running } from "./running.ts";

let service: Running;
let token: string;
let key: string;
const NO_TOKEN = "0".repeat(32);
const NO_KEY = "0".repeat(64);
const OCTETS = { "content-type": "application/octet-stream" };

beforeAll(async () => {
  service = await running();
  ({ token, key } = await names(service));
  // The user is logged in from here on.
  await service.ask("all", "POST", `/v1/keys/${key}/sign`, { body: { alg: "RS256", data: "" } });
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
});

type Row = readonly [what: string, client: string, request: string, body: unknown, status: number, code: string];

/** T and K stand for the names of the token and of its key 9A. */
const ROWS: readonly Row[] = [
  ["no credentials", "", "GET /v1/tokens", undefined, 401, "UNKNOWN_CLIENT"],
  ["a bearer token that no client has", "stranger", "GET /v1/tokens", undefined, 401, "UNKNOWN_CLIENT"],
  ["an unknown address", "all", "GET /v1/cards", undefined, 404, "NOT_FOUND"],
  ["an address of another version", "all", "GET /v2/tokens", undefined, 404, "NOT_FOUND"],
  ["a method that is not offered", "all", "PUT /v1/tokens", {}, 404, "NOT_FOUND"],
  ["a token that is not in", "all", `GET /v1/tokens/${NO_TOKEN}`, undefined, 404, "NO_TOKEN"],
  ["a malformed token name", "all", "GET /v1/tokens/card", undefined, 400, "BAD_INPUT"],
  ["a key that is on no card", "all", `GET /v1/keys/${NO_KEY}`, undefined, 404, "NO_OBJECT"],
  ["a malformed fingerprint", "all", "GET /v1/keys/9a", undefined, 400, "BAD_INPUT"],
  ["a fingerprint in upper case", "all", `GET /v1/keys/${NO_KEY.replaceAll("0", "A")}`, undefined, 400, "BAD_INPUT"],
  ["a limit of nothing", "all", "GET /v1/tokens?limit=0", undefined, 400, "BAD_INPUT"],
  ["a limit that is no number", "all", "GET /v1/tokens?limit=many", undefined, 400, "BAD_INPUT"],
  ["a cursor of another service", "all", "GET /v1/tokens?cursor=!", undefined, 400, "BAD_INPUT"],
  ["an unknown query", "all", "GET /v1/tokens?sort=label", undefined, 400, "BAD_INPUT"],
  ["no body", "all", "POST /v1/keys/K/sign", undefined, 400, "BAD_INPUT"],
  ["a body that is no JSON", "all", "POST /v1/keys/K/sign", "{", 400, "BAD_INPUT"],
  ["a body that is a list", "all", "POST /v1/keys/K/sign", [], 400, "BAD_INPUT"],
  ["no algorithm", "all", "POST /v1/keys/K/sign", { data: "" }, 400, "BAD_INPUT"],
  ["an algorithm that does not exist", "all", "POST /v1/keys/K/sign", { alg: "RS1", data: "" }, 400, "BAD_INPUT"],
  ["neither data nor digest", "all", "POST /v1/keys/K/sign", { alg: "RS256" }, 400, "BAD_INPUT"],
  ["data and digest", "all", "POST /v1/keys/K/sign", { alg: "RS256", data: "", digest: "" }, 400, "BAD_INPUT"],
  [
    "a field that does not exist",
    "all",
    "POST /v1/keys/K/sign",
    { alg: "RS256", data: "", pin: "1" },
    400,
    "BAD_INPUT",
  ],
  ["base64 with padding", "all", "POST /v1/keys/K/sign", { alg: "RS256", data: "AA==" }, 400, "BAD_INPUT"],
  ["base64url of no whole bytes", "all", "POST /v1/keys/K/sign", { alg: "RS256", data: "A" }, 400, "BAD_INPUT"],
  ["a digest of another length", "all", "POST /v1/keys/K/sign", { alg: "RS256", digest: "AAAA" }, 400, "BAD_INPUT"],
  ["an algorithm of another key", "all", "POST /v1/keys/K/sign", { alg: "ES256", data: "" }, 422, "KEY_CANNOT"],
  ["octets without an algorithm", "all", "POST /v1/keys/K/sign", Buffer.from("data"), 400, "BAD_INPUT"],
  ["an algorithm twice", "all", "POST /v1/keys/K/sign?alg=RS256", { alg: "RS256", data: "" }, 400, "BAD_INPUT"],
  [
    "a key that decrypts nothing like it",
    "all",
    "POST /v1/keys/K/decrypt",
    { data: "AAAA" },
    422,
    "CKR_ENCRYPTED_DATA_LEN_RANGE",
  ],
  ["a padding that does not exist", "all", "POST /v1/keys/K/decrypt", { data: "", padding: "none" }, 400, "BAD_INPUT"],
  ["an RSA key that derives", "all", "POST /v1/keys/K/derive", { publicKey: "no PEM" }, 400, "BAD_INPUT"],
  ["a signature by a client that views", "view", "POST /v1/keys/K/sign", { alg: "RS256", data: "" }, 403, "FORBIDDEN"],
  ["a key made by a client that uses", "use", "POST /v1/tokens/T/keys", { type: "ed25519" }, 403, "FORBIDDEN"],
  ["a deletion by a client that issues", "issue", "DELETE /v1/tokens/T/keys/K", undefined, 403, "FORBIDDEN"],
  ["a reset by a client that manages", "manage", "POST /v1/tokens/T/reset", { label: "" }, 403, "FORBIDDEN"],
  ["a list for a client without grants", "none", "GET /v1/tokens/T", undefined, 403, "FORBIDDEN"],
  [
    "a PIN of a client that may send none",
    "manage",
    "POST /v1/tokens/T/pin/login",
    { pin: "654321" },
    403,
    "FORBIDDEN",
  ],
  ["a PIN change without the new one", "all", "POST /v1/tokens/T/pin/change", { old: "654321" }, 400, "BAD_INPUT"],
  [
    "a new PIN that is too short",
    "all",
    "POST /v1/tokens/T/pin/change",
    { old: "654321", new: "1" },
    422,
    "CKR_PIN_LEN_RANGE",
  ],
  ["an RSA key with a curve", "all", "POST /v1/tokens/T/keys", { type: "rsa", curve: "P-256" }, 400, "BAD_INPUT"],
  [
    "a place that the card does not have",
    "all",
    "POST /v1/tokens/T/keys",
    { type: "ed25519", reference: "99" },
    400,
    "BAD_INPUT",
  ],
  [
    "a place that is taken",
    "all",
    "POST /v1/tokens/T/keys",
    { type: "ec", curve: "P-256", reference: "9a" },
    409,
    "OBJECT_EXISTS",
  ],
  [
    "a certificate that is none",
    "all",
    "PUT /v1/tokens/T/keys/K/certificate",
    { certificate: "no PEM" },
    400,
    "BAD_INPUT",
  ],
  [
    "the certificate of a key on no card",
    "all",
    `GET /v1/tokens/T/keys/${NO_KEY}/certificate`,
    undefined,
    404,
    "NO_OBJECT",
  ],
  ["a reset under another label", "all", "POST /v1/tokens/T/reset", { label: "another" }, 400, "BAD_INPUT"],
  ["too much randomness", "all", "POST /v1/tokens/T/random", { length: 1_000_000 }, 400, "BAD_INPUT"],
  ["an empty batch", "all", "POST /v1/batch", { operations: [] }, 400, "BAD_INPUT"],
  ["an empty subject", "all", "POST /v1/tokens/T/keys/K/request", { subject: "" }, 400, "BAD_INPUT"],
  ["a subject that is no name", "all", "POST /v1/tokens/T/keys/K/request", { subject: "Ada" }, 400, "BAD_INPUT"],
];

describe("a wrong request gets the problem that it has, and changes nothing", () => {
  test.each(ROWS)("%s", async (_what, client, request, body, status, code) => {
    const tries = service.pinTries();
    const writes = writesOf(service);
    const [method = "", url = ""] = request.replace("/T", `/${token}`).replace("/K", `/${key}`).split(" ");
    const answer = await service.ask(client, method as "GET", url, {
      body,
      ...(body instanceof Buffer && { headers: OCTETS }),
      ...(method !== "GET" && /keys$|certificate$/u.test(url) && { key: `request-${status}-${code}` }),
    });
    expect({ status: answer.status, code: answer.body["code"], title: typeof answer.body["title"] }).toEqual({
      status,
      code,
      title: "string",
    });
    expect(answer.headers["content-type"]).toContain("application/problem+json");
    expect(answer.body).toMatchObject({ type: `urn:cryptoki:${code}`, instance: answer.headers["request-id"] });
    expect(service.pinTries()).toBe(tries);
    expect(writesOf(service)).toBe(writes);
  });

  test("from a client that is not known, at each address", async () => {
    const tries = service.pinTries();
    for (const request of new Set(ROWS.map(([, , one]) => one))) {
      const [method = "", url = ""] = request.replace("/T", `/${token}`).replace("/K", `/${key}`).split(" ");
      for (const client of ["", "stranger"]) {
        const { status, body } = await service.ask(client, method as "GET", url);
        expect({ request, client, status, code: body["code"] }).toEqual({
          ...{ request, client },
          ...{ status: 401, code: "UNKNOWN_CLIENT" },
        });
      }
    }
    expect(service.pinTries()).toBe(tries);
  });

  test("a write without the header that other sites' pages cannot send", async () => {
    const { status, body } = await service.ask("all", "POST", `/v1/keys/${key}/sign`, {
      body: { alg: "RS256", data: "" },
      headers: { "cryptoki-client": "" },
    });
    expect({ status, detail: body["detail"] }).toEqual({
      status: 400,
      detail: "send the header cryptoki-client with any value: pages of other sites cannot",
    });
  });

  test("a key to be made without an Idempotency-Key, and one for what is never kept", async () => {
    const made = await service.ask("all", "POST", `/v1/tokens/${token}/keys`, { body: { type: "ed25519" } });
    expect(made.body).toMatchObject({ status: 400, detail: "headers must have required property 'idempotency-key'" });
    const opened = await service.ask("all", "POST", `/v1/keys/${key}/decrypt`, {
      body: { data: "" },
      key: "decrypt-0001",
    });
    expect(opened.body).toMatchObject({ status: 400, detail: expect.stringContaining("takes no Idempotency-Key") });
  });

  test("a body that is larger than the limit", async () => {
    await using small = await running({ configuration: { limits: { body: 1024 } } });
    const { key: one } = await names(small);
    const answer = await small.ask("all", "POST", `/v1/keys/${one}/sign?alg=RS256`, {
      body: Buffer.alloc(2048),
      headers: OCTETS,
    });
    expect(answer.body).toMatchObject({ status: 413, code: "TOO_LARGE" });
  });
});

/** Commands that write: GENERATE, PUT DATA, CHANGE REFERENCE DATA, RESET RETRY COUNTER, IMPORT, RESET. */
const writesOf = ({ exchanges }: Running): number =>
  exchanges.filter((line) => /^.0(?:47|db|24|2c|fe|fb|f6)/u.test(line)).length;
