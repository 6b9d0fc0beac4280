import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { signXml, verifyXml, type XmlOptions } from "../../src/formats/index.ts";
import { opened } from "../tokens/opened.ts";
import { Authority } from "./authority.ts";

let authority: Authority;
beforeAll(async () => {
  authority = await Authority.create();
}, 60_000);
afterAll(() => authority[Symbol.asyncDispose]());

const ORDER = `<?xml version="1.0"?>\n<order xmlns="urn:shop" xmlns:x="urn:more">\n  <item x:id="1">Käse &amp; Brot</item>\n</order>\n`;

/** Whether xmlsec1 verifies a document, and what it says. */
async function xmlsec1(xml: Uint8Array): Promise<string> {
  const file = await authority.write("signed.xml", xml);
  const ids = ["--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties"];
  const { stdout, stderr } = await promisify(execFile)("xmlsec1", [
    ...["--verify", "--trusted-pem", authority.file("ca.pem"), "--enabled-key-data", "x509", ...ids, file],
  ]);
  return stdout + stderr;
}

test.each<["9a" | "9c" | "9e", XmlOptions]>([
  ["9a", {}],
  ["9a", { hash: "SHA-512" }],
  ["9c", {}],
  ["9e", {}],
])(
  "xmlsec1 verifies an XML document that %s signs with %j",
  async (reference, options) => {
    await using rig = await opened();
    const key = await rig.token.keys.get({ reference });
    const ca = await authority.ca();
    const certificate = await authority.issue((await key.publicKey()).toPem(), "Ada", ["keyUsage=digitalSignature"]);
    const signed = await signXml(key, Buffer.from(ORDER), { certificate, chain: [ca], ...options });
    expect(await xmlsec1(signed)).toContain("OK");
    const { signers } = await verifyXml(signed, { trusted: [ca] });
    expect(signers).toMatchObject([{ trusted: true, certificate: { subject: "CN=Ada" } }]);
    expect(Math.abs((signers[0]?.signingTime?.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
    const text = Buffer.from(signed).toString();
    const altered = Buffer.from(text.replace("Brot", "Wein"));
    await expect(xmlsec1(altered)).rejects.toMatchObject({ code: 1 });
    await expect(verifyXml(altered)).rejects.toMatchObject({
      code: "NOT_VALID",
      message: expect.stringContaining("the signature does not verify: "),
    });
  },
  30_000,
);

test("what a signature does not cover, and what is signed or broken, is refused", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9e" });
  const signed = Buffer.from(await signXml(key, Buffer.from(ORDER))).toString();
  await expect(signXml(key, Buffer.from(signed))).rejects.toMatchObject({ code: "ALREADY_SIGNED" });
  await expect(verifyXml(Buffer.from(ORDER))).rejects.toMatchObject({ message: "the XML document has no signature" });
  const [signature = ""] = /<ds:Signature .*<\/ds:Signature>/su.exec(signed) ?? [];
  const twice = signed.replace("</order>", `${signature}</order>`);
  await expect(verifyXml(Buffer.from(twice))).rejects.toMatchObject({
    message: "the XML document has several signatures; one is verified here",
  });
  const moved = signed.replace(signature, `<deep>${signature}</deep>`);
  await expect(verifyXml(Buffer.from(moved))).rejects.toMatchObject({
    message: "the signature does not stand in the root element",
  });
  const uncovered = signed.replace('URI=""', 'URI="#part"');
  await expect(verifyXml(Buffer.from(uncovered))).rejects.toMatchObject({
    message: "the signature does not cover the whole document",
  });
  const weak = signed.replace("http://www.w3.org/2001/04/xmlenc#sha256", `http://www.w3.org/2000/09/xmldsig#sha1`);
  await expect(verifyXml(Buffer.from(weak))).rejects.toMatchObject({
    message: "the signature has a hash that is not taken: http://www.w3.org/2000/09/xmldsig#sha1",
  });
  await expect(signXml(key, Buffer.from("<a><b></a>"))).rejects.toMatchObject({ code: "MALFORMED" });
  const ed25519 = await rig.token.keys.get({ reference: "82" });
  await expect(signXml(ed25519, Buffer.from(ORDER))).rejects.toMatchObject({ code: "KEY_CANNOT" });
}, 30_000);
