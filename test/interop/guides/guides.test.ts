import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { testCard } from "../../virtual/keys.ts";
import { requireLibrary, requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";
import { Workplace } from "./guide.ts";

let card: PluggedIn;
let workplace: Workplace;

beforeAll(async () => {
  requirePrograms(
    "openssl",
    "pkcs11-tool",
    "p11tool",
    "gnutls-serv",
    "age",
    "ssh",
    "ssh-add",
    "sshd",
    "certutil",
    "jarsigner",
    "p11-kit",
  );
  requireLibrary("pkcs11/p11-kit-client.so", "p11-kit-modules");
  requireLibrary("engines-3/pkcs11.so", "libengine-pkcs11-openssl");
  card = await plugIn(await testCard(), "Guides");
  workplace = await Workplace.make(card.env, "123456");
  // Others may have the one daemon of the machine for as long as this.
}, 1_000_000);

afterAll(async () => {
  await workplace[Symbol.asyncDispose]();
  await card[Symbol.asyncDispose]();
}, 60_000);

test.each([
  ["README", [/token model *: PIV/]],
  ["pkcs11-tool", [/SHA256-RSA-PKCS/, /Verified OK/]],
  [
    "openssl",
    [
      /Verified OK[^]*Verified OK/,
      /Certificate request self-signature verify OK/,
      /CMS Verification successful/,
      /Client certificate[^]*Subject: CN=Ada Lovelace/,
    ],
  ],
  ["ssh-agent", [/2048 SHA256:/, /logged in with the card/, /Good "file" signature/]],
  ["age", []],
  ["tls", [/Client certificate[^]*Subject: .*CN=Test Cardholder/, /through the forwarder: 200 true/]],
  ["openssh", [/logged in with the card/, /2048 SHA256:/, /logged in with the agent/]],
  ["nss", [/Smart cards/, /token: PIV/, /u,u,u/, /rsa/, /ec/]],
  ["gnutls", [/X\.509 Certificate/, /Signing using RSA-SHA256\.\.\. ok/, /Handshake was completed/]],
  ["java", [/PrivateKeyEntry/, /Certificate request self-signature verify OK/, /jar verified\./]],
  ["remote", [/Label: PIV/, /PIV/]],
])(
  "docs/guides/%s.md, as it stands",
  async (guide, expected) => {
    const { code, output } = await workplace.follow(guide);
    // The output first: it says why the code is what it is.
    for (const pattern of expected) expect(output).toMatch(pattern);
    expect([code, output]).toEqual([0, output]);
  },
  180_000,
);
