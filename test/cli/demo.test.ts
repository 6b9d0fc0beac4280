import { expect, test } from "@jest/globals";
import { CardFolder } from "./card.ts";
import { cryptoki, json } from "./program.ts";

test("the demonstration ends with a verified signature", async () => {
  const { code, stdout, stderr } = await cryptoki(["demo"]);
  expect(stderr).toBe("");
  expect(stdout).toMatch(/The signature is valid\.\n\n$/u);
  expect(stdout).toMatch(/VERIFY/u);
  expect(stdout).toMatch(/GENERAL AUTHENTICATE/u);
  expect(code).toBe(0);
});

test("with a file of one's own, for a program", async () => {
  using folder = new CardFolder();
  const document = json(await cryptoki(["demo", folder.file("contract.txt", "we agree"), "--json"]));
  expect(document).toMatchObject({
    reader: { name: "Virtual Reader" },
    signed: { bytes: 8, mechanism: "CKM_SHA256_RSA_PKCS" },
    verified: true,
    exchanges: expect.arrayContaining([expect.objectContaining({ step: "sign", name: "GENERAL AUTHENTICATE" })]),
  });
  expect(JSON.stringify(document)).not.toContain("313233343536");
});

test.each(["pkcs15", "piv"])("with a new %s card, whose PIN is known", async (card) => {
  const document = json(await cryptoki(["demo", "--virtual", card, "--json"], { env: { CRYPTOKI_PIN: "000000" } }));
  expect(document).toMatchObject({ verified: true });
});

test("colours on a terminal only, and not with NO_COLOR", async () => {
  expect((await cryptoki(["demo"], { terminal: true })).stdout).toContain("\u001b[");
  expect((await cryptoki(["demo"], { terminal: true, env: { NO_COLOR: "1" } })).stdout).not.toContain("\u001b[");
  expect((await cryptoki(["demo"])).stdout).not.toContain("\u001b[");
});
