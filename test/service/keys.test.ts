import { createHash, createPublicKey, verify, X509Certificate } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { names, running } from "./running.ts";

const DATA = Buffer.from("a letter to be signed");
const b64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");

describe("tokens and keys", () => {
  test("are listed by names that do not change", async () => {
    await using service = await running();
    const { body } = await service.ask("view", "GET", "/v1/tokens");
    const [token] = body.items;
    expect(body.items).toHaveLength(1);
    const uri = String(token?.["uri"]);
    expect(token?.["token"]).toBe(createHash("sha256").update(uri).digest("hex").slice(0, 32));
    const keys = await service.ask("view", "GET", `/v1/tokens/${String(token?.["token"])}/keys`);
    expect(keys.body.items.map((one) => one["reference"]).sort()).toEqual(["82", "83", "9a", "9c", "9d", "9e"]);
    for (const key of keys.body.items) {
      const spki = createPublicKey({ key: key["jwk"] as never, format: "jwk" }).export({ type: "spki", format: "der" });
      expect(key["key"]).toBe(createHash("sha256").update(spki).digest("hex"));
    }
    expect(service.pinTries()).toBe(0);
  });

  test("come page by page, each once", async () => {
    await using service = await running();
    const { token } = await names(service);
    const seen: unknown[] = [];
    let url: string | undefined = `/v1/tokens/${token}/keys?limit=4`;
    while (url !== undefined) {
      const page = await service.ask("view", "GET", url);
      expect(page.status).toBe(200);
      seen.push(...page.body.items.map((one) => one["key"]));
      url = /<(.*)>; rel="next"/u.exec(String(page.headers["link"]))?.[1];
    }
    expect(seen).toHaveLength(6);
    expect(new Set(seen).size).toBe(6);
  });

  test("a key is told as PEM and as a JSON Web Key", async () => {
    await using service = await running();
    const { key } = await names(service);
    const pem = await service.ask("view", "GET", `/v1/keys/${key}`, { headers: { accept: "application/x-pem-file" } });
    expect(createPublicKey(pem.bytes.toString()).asymmetricKeyType).toBe("rsa");
    const jwk = await service.ask("view", "GET", `/v1/keys/${key}`, { headers: { accept: "application/jwk+json" } });
    expect(jwk.body["kty"]).toBe("RSA");
  });
});

describe("signatures", () => {
  test.each([
    ["9a", "RS256", undefined],
    ["9a", "PS384", undefined],
    ["9c", "ES384", "ieee-p1363"],
    ["9e", "ES256", "ieee-p1363"],
  ] as const)("%s signs as %s, data or a digest", async (reference, alg, dsaEncoding) => {
    await using service = await running();
    const { key, token } = await names(service, reference);
    const hash = `sha${alg.slice(2)}`;
    const digest = createHash(hash).update(DATA).digest();
    const jwk = (await service.ask("view", "GET", `/v1/keys/${key}`)).body["jwk"];
    const publicKey = createPublicKey({ key: jwk as never, format: "jwk" });
    for (const input of [{ data: b64(DATA) }, { digest: b64(digest) }]) {
      const { status, body } = await service.ask("use", "POST", `/v1/keys/${key}/sign`, { body: { alg, ...input } });
      expect({ status, code: body["code"] }).toEqual({ status: 200, code: undefined });
      expect(body).toMatchObject({ alg, key, token });
      const options = {
        key: publicKey,
        ...(dsaEncoding && { dsaEncoding }),
        ...(alg.startsWith("PS") && { padding: 6, saltLength: 48 }),
      };
      expect(verify(hash, DATA, options, Buffer.from(String(body["signature"]), "base64url"))).toBe(true);
      const verified = { alg, data: b64(DATA), signature: body["signature"] };
      expect((await service.ask("view", "POST", `/v1/keys/${key}/verify`, { body: verified })).body).toEqual({
        valid: true,
      });
      const other = { ...verified, data: b64(Buffer.from("another")) };
      expect((await service.ask("view", "POST", `/v1/keys/${key}/verify`, { body: other })).body).toEqual({
        valid: false,
      });
    }
  });

  test("octets go in and come out", async () => {
    await using service = await running();
    const { key } = await names(service, "9e");
    const { bytes, headers } = await service.ask("use", "POST", `/v1/keys/${key}/sign?alg=ES256`, {
      body: DATA,
      headers: { "content-type": "application/octet-stream", accept: "application/octet-stream" },
    });
    expect(headers["content-type"]).toBe("application/octet-stream");
    const jwk = (await service.ask("view", "GET", `/v1/keys/${key}`)).body["jwk"];
    const publicKey = createPublicKey({ key: jwk as never, format: "jwk" });
    expect(verify("sha256", DATA, { key: publicKey, dsaEncoding: "ieee-p1363" }, bytes)).toBe(true);
  });

  test("a hundred in a batch: one login, and a problem for each that fails", async () => {
    await using service = await running();
    const { key } = await names(service, "9a");
    const operations = Array.from({ length: 12 }, (_, index) => ({
      key,
      alg: index === 7 ? "ES256" : "RS256",
      data: b64(DATA),
    }));
    const { body } = await service.ask("use", "POST", "/v1/batch", { body: { operations } });
    const results = body["results"] as readonly Record<string, unknown>[];
    expect(results.map((one) => one["code"] ?? "signed")).toEqual(
      operations.map(({ alg }) => (alg === "RS256" ? "signed" : "KEY_CANNOT")),
    );
    expect(service.pinTries()).toBe(1);
  });

  test("a repeated request gets the first signature, another body under its name is refused", async () => {
    await using service = await running();
    const { key } = await names(service, "9e");
    const ask = (data: string): ReturnType<typeof service.ask> =>
      service.ask("use", "POST", `/v1/keys/${key}/sign`, {
        key: "order-0001",
        body: { alg: "ES256", data: b64(Buffer.from(data)) },
      });
    const first = await ask("one");
    const before = service.exchanges.length;
    expect((await ask("one")).body["signature"]).toBe(first.body["signature"]);
    expect(service.exchanges).toHaveLength(before);
    expect((await ask("two")).body).toMatchObject({ status: 422, code: "KEY_REUSED" });
  });
});

describe("a wrong PIN in the configuration", () => {
  test("spends one try, whatever comes after", async () => {
    await using service = await running({ pin: "111111" });
    const { key, token } = await names(service, "9a");
    const input = { body: { alg: "RS256", data: b64(DATA) } };
    const first = await service.ask("use", "POST", `/v1/keys/${key}/sign`, input);
    expect(first.body).toMatchObject({ status: 403, code: "CKR_PIN_INCORRECT", triesLeft: 2 });
    for (let time = 0; time < 3; time++) {
      const { body } = await service.ask("use", "POST", `/v1/keys/${key}/sign`, input);
      expect(body).toMatchObject({ status: 403, code: "CKR_PIN_INCORRECT" });
    }
    expect(service.pinTries()).toBe(1);
    expect((await service.ask("view", "GET", `/v1/tokens/${token}/pin`)).body).toMatchObject({ status: "low" });
  });
});

describe("a key pair, a request, a certificate", () => {
  test("are made on the token, as officer where the card wants it", async () => {
    await using service = await running();
    const { token } = await names(service);
    const body = {
      type: "ec",
      curve: "P-256",
      reference: "9e",
      policy: { pin: "never", touch: "never" },
      replace: true,
    };
    const made = await service.ask("all", "POST", `/v1/tokens/${token}/keys`, { body, key: "make-a-key-1" });
    expect({ status: made.status, code: made.body["code"] }).toEqual({ status: 201, code: undefined });
    const key = String(made.body["key"]);
    expect(made.headers["location"]).toBe(`/v1/tokens/${token}/keys/${key}`);
    // A key in a place for key management signs nothing, not even its own request.
    const { key: other } = await names(service, "9d");
    const refused = await service.ask("issue", "POST", `/v1/tokens/${token}/keys/${other}/request`, {
      body: { subject: "CN=Ada Lovelace" },
    });
    expect(refused.body).toMatchObject({ status: 422, code: "CKR_KEY_FUNCTION_NOT_PERMITTED" });
    // The same request again makes no second key.
    const again = await service.ask("all", "POST", `/v1/tokens/${token}/keys`, { body, key: "make-a-key-1" });
    expect(again.body["key"]).toBe(key);

    const requested = await service.ask("issue", "POST", `/v1/tokens/${token}/keys/${key}/request`, {
      body: { subject: "CN=Ada Lovelace", email: ["ada@example.org"] },
    });
    expect({ code: requested.body["code"], detail: requested.body["detail"] }).toEqual({});
    expect(String(requested.body["request"])).toContain("BEGIN CERTIFICATE REQUEST");

    const { attested } = await certificateOf(service, token, key);
    const written = await service.ask("issue", "PUT", `/v1/tokens/${token}/keys/${key}/certificate`, {
      body: { certificate: attested, replace: true },
      key: "write-it-once",
    });
    expect(written.body).toMatchObject({ key, token });
    const read = await service.ask("view", "GET", `/v1/tokens/${token}/keys/${key}/certificate`, {
      headers: { accept: "application/pkix-cert" },
    });
    expect(new X509Certificate(read.bytes).raw).toEqual(new X509Certificate(attested).raw);
    for (const what of ["/certificate", ""]) {
      const gone = await service.ask("manage", "DELETE", `/v1/tokens/${token}/keys/${key}${what}`);
      expect(gone.status).toBe(204);
    }
    expect((await service.ask("view", "GET", `/v1/keys/${key}`)).body).toMatchObject({
      status: 404,
      code: "NO_OBJECT",
    });
  });
});

/** The card's attestation is a certificate for the key, made without an authority. */
async function certificateOf(
  service: Awaited<ReturnType<typeof running>>,
  token: string,
  key: string,
): Promise<{ attested: string }> {
  const { body } = await service.ask("view", "POST", `/v1/tokens/${token}/keys/${key}/attest`);
  return { attested: String(body["certificate"]) };
}
