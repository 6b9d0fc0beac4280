import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { createPublicKey, verify } from "node:crypto";
import { promisify } from "node:util";
import { DSSEBundleBuilder, MessageSignatureBundleBuilder } from "@sigstore/sign";
import {
  sigstoreSigner,
  signAuthenticode,
  signSmime,
  type SmimeOptions,
  verifySmime,
} from "../../src/formats/index.ts";
import { loadProgramLibrary } from "../../src/formats/program-library.ts";
import { KEYS, opened } from "../tokens/opened.ts";
import { Authority } from "./authority.ts";

let authority: Authority;
beforeAll(async () => {
  authority = await Authority.create();
}, 60_000);
afterAll(() => authority[Symbol.asyncDispose]());

/** A program of Windows that does nothing, with a section. */
async function program(): Promise<Uint8Array> {
  const { NtExecutable } = await loadProgramLibrary();
  const executable = NtExecutable.createEmpty(false, false);
  const info = {
    name: ".text",
    virtualSize: 512,
    virtualAddress: 0x1000,
    sizeOfRawData: 512,
    characteristics: 0x60000020,
  };
  const rest = {
    pointerToRawData: 0,
    pointerToRelocations: 0,
    pointerToLineNumbers: 0,
    numberOfRelocations: 0,
    numberOfLineNumbers: 0,
  };
  executable.setSectionByEntry(1, { info: { ...info, ...rest }, data: new Uint8Array(512).fill(0xc3).buffer });
  return new Uint8Array(executable.generate());
}

test("osslsigncode verifies a signed program, and its time stamp; a signed one is refused without replace", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  const ca = await authority.ca();
  const uses = ["keyUsage=digitalSignature", "extendedKeyUsage=codeSigning"];
  const certificate = await authority.issue((await key.publicKey()).toPem(), "Publisher", uses);
  const options = { certificate, chain: [ca], strict: true };
  const signed = await signAuthenticode(key, await program(), { ...options, timestamp: authority.timestamp });
  const file = await authority.write("signed.exe", signed);
  const trust = ["-CAfile", authority.file("ca.pem"), "-TSA-CAfile", authority.file("tsa.pem")];
  const { stdout } = await promisify(execFile)("osslsigncode", ["verify", ...trust, file]);
  expect(stdout).toContain("Signature verification: ok");
  expect(stdout).toContain("Number of verified signatures: 1");
  expect(stdout).toMatch(/Timestamp Server Signature verification: ok/u);
  await expect(signAuthenticode(key, signed, options)).rejects.toMatchObject({
    code: "ALREADY_SIGNED",
    message: "the program is signed; a new signature would replace that one",
  });
  const again = await authority.write("again.exe", await signAuthenticode(key, signed, { ...options, replace: true }));
  expect((await promisify(execFile)("osslsigncode", ["verify", ...trust, again])).stdout).toContain("verification: ok");
}, 30_000);

test("a key on a curve, a certificate for something else and a file that is no program are refused", async () => {
  await using rig = await opened();
  const ec = await rig.token.keys.get({ reference: "9e" });
  await expect(signAuthenticode(ec, await program())).rejects.toMatchObject({ code: "KEY_CANNOT" });
  const rsa = await rig.token.keys.get({ reference: "9a" });
  const mail = await authority.issue((await rsa.publicKey()).toPem(), "Ada", ["extendedKeyUsage=emailProtection"]);
  await expect(signAuthenticode(rsa, await program(), { certificate: mail, strict: true })).rejects.toMatchObject({
    code: "CERTIFICATE_UNFIT",
    message: "the certificate of CN=Ada is not for code signing",
  });
  await expect(signAuthenticode(rsa, Buffer.from("no program"))).rejects.toMatchObject({ code: "MALFORMED" });
  expect(rig.requests).toHaveLength(0);
}, 30_000);

test.each<["9a" | "9c", string, SmimeOptions]>([
  ["9a", "an important letter\nin two lines\n", { headers: { From: "ada@example.org", Subject: "A letter" } }],
  ["9c", "ein Brief über Käse \n", {}],
  ["9a", "an important letter", { enclosed: true }],
])(
  "openssl verifies a message of %s: %j with %j",
  async (reference, text, options) => {
    await using rig = await opened();
    const key = await rig.token.keys.get({ reference });
    const signed = await signSmime(key, Buffer.from(text), options);
    const file = await authority.write("letter.eml", signed);
    const said = await authority.openssl("cms", "-verify", "-noverify", "-in", file);
    expect(said).toContain("Content-Type: text/plain; charset=utf-8\r\n");
    const { signers, content } = await verifySmime(signed);
    expect(signers).toHaveLength(1);
    expect(Buffer.from(content).toString("latin1")).toBe(said);
    // As a program that changes line ends saves it.
    const saved = Buffer.from(Buffer.from(signed).toString("latin1").replaceAll("\r\n", "\n"), "latin1");
    expect((await verifySmime(saved)).signers).toHaveLength(1);
    if (options.enclosed) return;
    const altered = Buffer.from(signed);
    const place = altered.indexOf("\r\n\r\n", altered.indexOf("Content-Transfer-Encoding")) + 4;
    altered[place] = altered[place] === 0x61 ? 0x62 : 0x61;
    await expect(verifySmime(altered)).rejects.toMatchObject({ code: "NOT_VALID" });
  },
  30_000,
);

test("a header cannot bring others, and what is no signed message is refused", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  const headers = { Subject: "x\r\nBcc: all@example.org" };
  await expect(signSmime(key, Buffer.from("a"), { headers })).rejects.toMatchObject({ code: "MALFORMED" });
  await expect(verifySmime(Buffer.from("Subject: x\n\nbody"))).rejects.toMatchObject({
    code: "MALFORMED",
    message: "the message is not signed with S/MIME",
  });
});

test("sigstore's builders make bundles with a key of a card", async () => {
  await using rig = await opened();
  const data = Buffer.from("an artifact");
  for (const reference of ["9c", "9a"] as const) {
    const key = await rig.token.keys.get({ reference });
    const signer = sigstoreSigner(key, { hint: "card" });
    const bundle = await new MessageSignatureBundleBuilder({ signer, witnesses: [] }).create({ data });
    const publicKey = createPublicKey(KEYS[reference].privateKey);
    const hash = reference === "9c" ? "sha384" : "sha256";
    const { content, verificationMaterial } = bundle;
    expect(verify(hash, data, publicKey, content.messageSignature.signature)).toBe(true);
    expect(verificationMaterial.content).toMatchObject({ $case: "publicKey", publicKey: { hint: "card" } });
  }
  const key = await rig.token.keys.get({ reference: "9e" });
  const certificate = await key.certificate();
  const witnesses: never[] = [];
  const builder = new DSSEBundleBuilder({
    signer: sigstoreSigner(key, { certificate }),
    witnesses,
    certificateChain: false,
  });
  const { verificationMaterial } = await builder.create({ data, type: "text/plain" });
  expect(verificationMaterial.content.$case).toBe("certificate");
});
