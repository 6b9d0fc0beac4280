import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createPublicKey, X509Certificate } from "node:crypto";
import { compactVerify, jwtVerify } from "jose";
import { Authority } from "../formats/authority.ts";
import { CardFolder, PIN } from "./card.ts";
import { cryptoki, type Outcome } from "./program.ts";

let folder: CardFolder;
let authority: Authority;
let letter = "";
beforeAll(async () => {
  folder = await CardFolder.create({ yubico: true, keys: { "9a": "p-256", "9c": "rsa-2048", "9d": null, "9e": null } });
  authority = await Authority.create();
  letter = folder.file("letter.txt", "an important letter\n");
}, 60_000);
afterAll(async () => {
  folder[Symbol.dispose]();
  await authority[Symbol.asyncDispose]();
});

const onCard = (...args: readonly string[]): Promise<Outcome> => cryptoki(["--virtual", folder.card, ...args], PIN);
const onTerminal = (...args: readonly string[]): Promise<Outcome> =>
  cryptoki(["--virtual", folder.card, ...args], { ...PIN, terminal: true });

async function certificate(id: string): Promise<X509Certificate> {
  return new X509Certificate((await onCard("read", "--id", id, "--format", "der")).bytes);
}

test("a CMS message, detached and enclosed, that openssl and verify take", async () => {
  const detached = folder.file("letter.p7s");
  expect(await onCard("sign", "--id", "01", "--as", "cades", letter, "--output", detached)).toMatchObject({
    code: 0,
    stdout: "",
    stderr: "",
  });
  const verify = ["cms", "-verify", "-noverify", "-binary", "-inform", "DER"];
  expect(await authority.openssl(...verify, "-in", detached, "-content", letter)).toBe("an important letter\n");
  const outcome = await onCard("verify", "--as", "cms", letter, "--signature", detached, "--json");
  expect(outcome.code).toBe(0);
  const { serialNumber } = await certificate("01");
  expect(JSON.parse(outcome.stdout)).toMatchObject({
    valid: true,
    as: "cms",
    signers: [{ subject: "CN=Test Cardholder, O=Test Cards, C=ZZ", serialNumber: serialNumber.toLowerCase() }],
  });
  const other = folder.file("other.txt", "another letter");
  expect(await onCard("verify", "--as", "cms", other, "--signature", detached)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("does not verify"),
  });
  const enclosed = folder.file("letter.p7m");
  expect((await onCard("sign", "--id", "01", "--as", "cms", "--enclosed", letter, "--output", enclosed)).code).toBe(0);
  const out = folder.file("content");
  expect(await onCard("verify", "--as", "cms", enclosed, "--output", out)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("its certificate was not checked: --trust names the authorities"),
  });
  expect(readFileSync(out, "utf8")).toBe("an important letter\n");
  const ca = await authority.write("trusted.pem", await authority.ca());
  expect(await onCard("verify", "--as", "cms", enclosed, "--trust", ca)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("is not trusted"),
  });
});

test("a JWS and a token, that jose and verify take", async () => {
  const key = createPublicKey((await certificate("02")).publicKey.export({ format: "pem", type: "spki" }));
  const header = ["--alg", "PS256", "--header", '{"kid":"1"}'];
  const jws = await onTerminal("sign", "--id", "02", "--as", "jws", ...header, letter);
  expect(jws).toMatchObject({ code: 0, stderr: "" });
  const { payload, protectedHeader } = await compactVerify(jws.stdout.trim(), key);
  expect(Buffer.from(payload).toString()).toBe("an important letter\n");
  expect(protectedHeader).toEqual({ alg: "PS256", kid: "1" });
  const file = folder.file("letter.jws", jws.stdout);
  expect((await onCard("verify", "--id", "02", "--as", "jws", file)).code).toBe(0);
  expect(await onCard("verify", "--id", "01", "--as", "jws", file)).toMatchObject({ code: 1 });
  const claims = folder.file("claims.json", '{"sub":"ada"}');
  const jwt = await onCard("sign", "--id", "02", "--as", "jwt", claims, "--json");
  const { document } = JSON.parse(jwt.stdout) as { readonly document: string };
  expect((await jwtVerify(document, key)).payload).toEqual({ sub: "ada" });
  const token = folder.file("token", document);
  expect(JSON.parse((await onCard("verify", "--id", "02", "--as", "jwt", token, "--json")).stdout)).toEqual({
    valid: true,
    as: "jwt",
    signers: [],
    claims: { sub: "ada" },
  });
  expect(await onCard("sign", "--id", "02", "--as", "jwt", letter)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("the file with the claims is no JSON object"),
  });
});

test("a hundred files under one login: one VERIFY", async () => {
  const names = Array.from({ length: 100 }, (_, index) => folder.file(`many-${index}.txt`, `letter ${index}`));
  const out = folder.file("signed");
  mkdirSync(out);
  const { code, stdout, stderr } = await onCard(
    ...["sign", "--id", "01", "--as", "cms", "--trace", ...names, "--output", out],
  );
  expect(code).toBe(0);
  expect(stdout).toBe("Signed 100 files\n");
  // Without the queries for the tries that are left, which have no data.
  const verifies = stderr.split("\n").filter((line) => line.includes("00 20 00 80 **"));
  expect(verifies).toHaveLength(1);
  expect(readdirSync(out)).toHaveLength(100);
  const check = ["cms", "-verify", "-noverify", "-binary", "-inform", "DER"];
  const signed = `${out}/many-99.txt.p7s`;
  expect(await authority.openssl(...check, "-in", signed, "-content", names[99] ?? "")).toBe("letter 99");
}, 60_000);

test("files that exist, one output for two, and options of other formats are refused before a PIN is asked for", async () => {
  const noPin = (...args: readonly string[]): Promise<Outcome> => cryptoki(["--virtual", folder.card, "sign", ...args]);
  const other = folder.file("second.txt", "two");
  folder.file("second.txt.p7s", "is there");
  for (const [args, message] of [
    [["--as", "cms", letter, other], "second.txt.p7s exists already; add --force to write over it"],
    [["--as", "cms", letter, letter], "two of the files would be written to"],
    [["--as", "cms", letter, other, "--output", other], "would overwrite"],
    [["--as", "cms", letter, other, "--output", folder.file("absent")], "is a folder where several files are signed"],
    [["--as", "jws", "--enclosed", letter], "--enclosed is not for --as jws"],
    [["--as", "cms", "--mechanism", "ECDSA", letter], "--mechanism has no effect with --as"],
    [["--as", "cms", "--hash", "sha1", letter], "--hash sha1 is not for this format"],
    [["--strict", letter], "--strict is for signed documents: name their format with --as"],
    [[letter, other, "third"], "several files are signed with --as only"],
  ] as const) {
    expect(await noPin("--id", "01", ...args)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
  }
});

test("a certificate that is not fit is a warning, and an error with --strict; one of another key is an error", async () => {
  const key = (await certificate("01")).publicKey.export({ format: "pem", type: "spki" }).toString();
  const old = folder.file("old.pem", await authority.issue(key, "Old", ["keyUsage=digitalSignature"], ["-days", "-1"]));
  const sign = ["sign", "--as", "cms", letter, "--certificate", old];
  expect(await onCard(...sign, "--id", "01", "--output", folder.file("old.p7s"))).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^warning: the certificate of CN=Old expired on/u),
  });
  expect(await onCard(...sign, "--id", "01", "--strict")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("the certificate of CN=Old expired on"),
  });
  expect(await onCard(...sign, "--id", "02")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("the certificate is not of the key that signs"),
  });
});
