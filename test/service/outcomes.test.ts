import { createHash, createPublicKey, generateKeyPairSync, publicEncrypt, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { AuditTrail } from "../../src/audit/index.ts";
import { makeCard } from "../tokens/opened.ts";
import { bearer, names, running, sha256, type Running } from "./running.ts";

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "outcomes-"));
  file = path.join(folder, "audit.jsonl");
});
afterEach(() => rm(folder, { recursive: true }));

const NEW_KEY = { type: "ec", curve: "P-256", reference: "9e", replace: true };

describe("an outcome that is not known", () => {
  test("stands in the audit trail as unknown, not as a failure", async () => {
    await using trail = await AuditTrail.open(file);
    await using service = await running({ audit: trail });
    const { key } = await names(service);
    const goOn = service.hold();
    const body = { alg: "RS256", data: "" };
    await service.ask("use", "POST", `/v1/keys/${key}/sign`, { body, headers: { prefer: "wait=1" } });
    goOn();
    const [, entry] = (await readFile(file, "utf8")).trimEnd().split("\n");
    expect(JSON.parse(entry ?? "")).toMatchObject({ operation: "sign", outcome: "UNKNOWN" });
  });

  test("of a key that a card made before it was taken out is kept as unknown: the repeat makes no second key", async () => {
    await using service = await running();
    const { token } = await names(service);
    const ask = (): ReturnType<Running["ask"]> =>
      service.ask("all", "POST", `/v1/tokens/${token}/keys`, {
        body: { type: "ec", curve: "P-256", reference: "84" },
        key: "taken-out-1",
      });
    const card = service.pullAfter("47");
    const first = await ask();
    expect(first.body).toMatchObject({ status: 503, code: "TOKEN_GONE" });
    expect((await ask()).body).toMatchObject({ status: 404, code: "NO_TOKEN" });
    card.insert();
    // The card's key history does not count this retired key, so a list does not ask the card for it.
    expect((await ask()).body).toMatchObject({ status: 503, code: "TOKEN_GONE" });
    expect(service.exchanges.filter((line) => line.startsWith("0047"))).toHaveLength(1);
  });

  test("of a key that took the place of another: the repeat is answered by the new key", async () => {
    await using service = await running();
    const { token, key: old } = await names(service, "83");
    const ask = (): ReturnType<Running["ask"]> =>
      service.ask("all", "POST", `/v1/tokens/${token}/keys`, {
        body: { type: "ec", curve: "P-256", reference: "83", replace: true },
        key: "taken-out-2",
      });
    const card = service.pullAfter("47");
    expect((await ask()).body).toMatchObject({ status: 503, code: "TOKEN_GONE" });
    card.insert();
    const { status, body } = await ask();
    expect({ status, reference: body["reference"] }).toEqual({ status: 201, reference: "83" });
    expect(body["key"]).not.toBe(old);
    expect(service.exchanges.filter((line) => line.startsWith("0047"))).toHaveLength(1);
  });
});

describe("a card that is changed for another", () => {
  test("gets no request that was meant for the first", async () => {
    await using service = await running();
    const { key, token } = await names(service);
    service.pullAfter("87");
    const signed = await service.ask("use", "POST", `/v1/keys/${key}/sign`, { body: { alg: "RS256", data: "" } });
    expect(signed.body).toMatchObject({ status: 503, code: "TOKEN_GONE" });
    const before = service.exchanges.length;
    const other = await makeCard();
    const seen: string[] = [];
    service.readers.insert("Reader", {
      atr: other.atr,
      reset: () => {
        other.reset();
      },
      transmit: (command) => {
        seen.push(Buffer.from(command.subarray(0, 5)).toString("hex"));
        return other.transmit(command);
      },
    });
    const { body } = await service.ask("all", "POST", `/v1/tokens/${token}/keys`, {
      body: NEW_KEY,
      key: "for-the-first",
    });
    expect(body).toMatchObject({ status: 404, code: "NO_TOKEN" });
    expect(service.exchanges).toHaveLength(before);
    // No signature, no PIN.
    expect(seen.filter((line) => /^..(?:87|20.{4}08)/u.test(line))).toEqual([]);
  });
});

describe("roles", () => {
  test("a client that issues replaces no key: that deletes one", async () => {
    await using service = await running();
    const { token } = await names(service);
    const { body } = await service.ask("issue", "POST", `/v1/tokens/${token}/keys`, { body: NEW_KEY, key: "replaces" });
    expect(body).toMatchObject({ status: 403, code: "FORBIDDEN" });
  });

  test("a client with one key sees that key's certificates and events alone", async () => {
    await using first = await running();
    const { key } = await names(first);
    const one = { name: "one", bearerSha256: sha256(bearer("one")), grants: [{ role: "use", keys: [key] }] };
    const everything = ["view", "issue", "manage"].map((role) => ({ role }));
    const all = { name: "all", bearerSha256: sha256(bearer("all")), grants: everything };
    await using service = await running({ configuration: { clients: [one, all] as never } });
    const { token } = await names(service);
    const { body } = await service.ask("one", "GET", `/v1/tokens/${token}/keys`);
    expect(body.items.map((item) => item["key"])).toEqual([key]);
    const other = (await names(service, "9e")).key;
    expect(
      (await service.ask("one", "POST", `/v1/keys/${other}/sign`, { body: { alg: "ES256", data: "" } })).body,
    ).toMatchObject({ status: 403, code: "FORBIDDEN" });
    for (const address of [`/v1/tokens/${token}/certificates`, "/v1/certificates"]) {
      const listed = await service.ask("one", "GET", address);
      expect(listed.body.items.filter((item) => item["key"] !== undefined && item["key"] !== key)).toEqual([]);
    }
    const events = await stream(service, "one");
    await service.ask("all", "POST", `/v1/tokens/${token}/keys`, { body: NEW_KEY, key: "made-by-another" });
    await service.ask("all", "POST", `/v1/tokens/${token}/pin/login`, { body: {} });
    expect(await events.next()).toContain("event: pin.changed");
    events.close();
  });
});

describe("keys from elsewhere", () => {
  test("a key is imported, and a secret that was encrypted for it is unwrapped", async () => {
    await using service = await running();
    const { token } = await names(service);
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const body = { jwk: privateKey.export({ format: "jwk" }), reference: "9d", replace: true };
    const made = await service.ask("all", "POST", `/v1/tokens/${token}/keys/import`, { body, key: "import-it" });
    expect({ status: made.status, code: made.body["code"] }).toEqual({ status: 201, code: undefined });
    const spki = publicKey.export({ type: "spki", format: "der" });
    expect(made.body["key"]).toBe(createHash("sha256").update(spki).digest("hex"));
    const secret = randomBytes(32);
    const wrapped = publicEncrypt(
      { key: createPublicKey(publicKey.export({ type: "spki", format: "pem" })), oaepHash: "sha256" },
      secret,
    );
    const unwrap = (type: string, bytes: Buffer): ReturnType<Running["ask"]> =>
      service.ask("use", "POST", `/v1/keys/${String(made.body["key"])}/unwrap`, {
        body: { type, wrapped: bytes.toString("base64url") },
      });
    expect((await unwrap("aes", wrapped)).body).toEqual({ secret: secret.toString("base64url") });
    expect((await unwrap("aes", wrapped.subarray(1))).status).toBe(422);
    expect((await unwrap("des", wrapped)).body).toMatchObject({ status: 400, code: "BAD_INPUT" });
  });

  test("what is no private key is refused, and no part of it is in the answer", async () => {
    await using service = await running();
    const { token } = await names(service);
    const body = { jwk: { kty: "EC", crv: "P-999", d: "c2VjcmV0IHZhbHVl" }, reference: "9d", replace: true };
    const answer = await service.ask("all", "POST", `/v1/tokens/${token}/keys/import`, { body, key: "import-it" });
    expect(answer.body).toMatchObject({ status: 400, code: "BAD_INPUT" });
    expect(answer.bytes.toString()).not.toContain("c2VjcmV0");
  });
});

describe("a connection that asks for too much", () => {
  test("event streams count as requests at work of their client, and of no other", async () => {
    await using service = await running({ configuration: { limits: { requests: 2 } } });
    const streams = [await stream(service, "view"), await stream(service, "view")];
    const { body } = await service.ask("view", "GET", "/v1/tokens");
    expect(body).toMatchObject({ status: 429, code: "CKR_DEVICE_MEMORY" });
    expect((await service.ask("use", "GET", "/v1/tokens")).status).toBe(200);
    for (const one of streams) one.close();
  });

  test.each([
    ["two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n"],
    ["a length and chunks", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"],
    ["a header without a name", ": x\r\n"],
  ])("a request with %s is refused as a whole, and the connection ends", async (_what, headers) => {
    await using service = await running();
    const socket = connect(service.socket);
    const smuggled = "{}GET /v1/tokens HTTP/1.1\r\nHost: x\r\n\r\n";
    const auth = `Authorization: Bearer ${bearer("all")}\r\nCryptoki-Client: x\r\n`;
    socket.write(`POST /v1/batch HTTP/1.1\r\nHost: x\r\n${auth}${headers}\r\n${smuggled}`);
    const answer = await text(socket);
    expect(answer.match(/HTTP\/1\.1 \d+/gu)).toEqual(["HTTP/1.1 400"]);
    expect(answer).toContain('"code":"BAD_INPUT"');
  });

  test.each([
    ["an encoded slash", "/v1/keys%2f..%2ftokens"],
    ["an encoded name", `/v1/tokens/${"%61".repeat(32)}`],
    ["a broken encoding", "/v1/tokens/%zz"],
    ["dots", "/healthz/../v1/tokens"],
    ["an address behind the public one", "/healthz?/v1/tokens"],
  ])("%s in the address opens nothing to a stranger", async (_what, address) => {
    await using service = await running();
    const { status } = await service.ask("", "GET", address);
    expect([400, 401, 404]).toContain(status);
  });
});

/** A stream of events: what comes next, and its end. */
async function stream(service: Running, client: string): Promise<{ next: () => Promise<string>; close: () => void }> {
  const headers = { authorization: `Bearer ${bearer(client)}` };
  const sent = httpRequest({ socketPath: service.socket, path: "/v1/events", headers }).end();
  const answer = await new Promise<AsyncIterable<Buffer>>((resolve, reject) => {
    sent.once("response", resolve);
    sent.once("error", reject);
  });
  const parts = answer[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { value } = (await parts.next()) as { readonly value: Buffer };
    return value.toString();
  };
  await next();
  return {
    next,
    close: () => {
      sent.destroy();
    },
  };
}
