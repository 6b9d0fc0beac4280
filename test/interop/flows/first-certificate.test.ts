/** From a new card to a certificate, with three programs: the guides, as they stand. */
import { beforeAll, expect, test } from "@jest/globals";
import { type VirtualCard, VirtualPivCard } from "../../../src/virtual/index.ts";
import { testKey, testPkcs15Card } from "../../virtual/keys.ts";
import { Workplace } from "../guides/guide.ts";
import { requireLibrary, requirePrograms } from "../rig/require.ts";
import { plugIn } from "../virtual/plugged.ts";

beforeAll(() => {
  requirePrograms("openssl", "pkcs11-tool", "p11tool", "certtool", "ssh-keygen", "ssh-agent", "ssh-add");
  requireLibrary("pkcs11/p11-kit-client.so", "p11-kit-modules");
  requireLibrary("engines-3/pkcs11.so", "libengine-pkcs11-openssl");
});

const SIGNS = /Signing using ECDSA-SHA256\.\.\. ok[^]*Verifying against public key in the token\.\.\. ok/u;
const TRUSTED = /Output: Verified\. The certificate is trusted\./u;

/** @param pin What the guide asks for. */
async function follow(card: VirtualCard, pin: string, guide: string, expected: readonly RegExp[]): Promise<void> {
  await using plugged = await plugIn(card, "First certificate");
  await using workplace = await Workplace.make(plugged.env, pin);
  const { code, output } = await workplace.follow(guide);
  // The output first: it says why the code is what it is.
  for (const pattern of expected) expect(output).toMatch(pattern);
  expect([code, output]).toEqual([0, output]);
}

// The machine has one pcscd: another test file may have it first.
test("docs/guides/first-certificate.md, on a YubiKey with a key of before", async () => {
  const keys = { "9a": null, "9c": { privateKey: testKey("p-256") }, "9d": null, "9e": null };
  await follow(await VirtualPivCard.create({ keys, yubico: true }), "246802", "first-certificate", [
    /as the factory made it/u,
    /back\.pem: OK/u,
    /Token successfully initialized[^]*User PIN successfully initialized/u,
    /back2\.pem: OK[^]*Verified OK/u,
    /Token was successfully initialized[^]*Setting user's PIN/u,
    SIGNS,
    TRUSTED,
    /Good "file" signature with ECDSA key/u,
  ]);
}, 900_000);

test("docs/guides/first-certificate-pkcs15.md, on a PKCS #15 card", async () => {
  await follow(await testPkcs15Card(), "123456", "first-certificate-pkcs15", [
    /back\.pem: OK/u,
    /label: +grace[^]*stdin: OK/u,
    SIGNS,
    TRUSTED,
  ]);
}, 900_000);
