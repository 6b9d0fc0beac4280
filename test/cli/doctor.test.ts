import { X509Certificate } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { saveCard } from "../../src/virtual/index.ts";
import { issueCard, OTHER_UUID } from "../doctor/issued-card.ts";
import { CardFolder, PIN, WRONG_PIN } from "./card.ts";
import { cryptoki, json, jsonError } from "./program.ts";

let folder: CardFolder;
beforeEach(() => {
  folder = new CardFolder();
});
afterEach(() => {
  folder[Symbol.dispose]();
});

test("a clean card: exit code 0, and what was not looked at", async () => {
  const { card } = await issueCard();
  await saveCard(card, folder.card);
  const { code, stdout } = await cryptoki(["--virtual", folder.card, "card", "doctor"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^application +piv$/mu);
  expect(stdout).toMatch(/^Not checked$/mu);
  expect(stdout).toMatch(/^ {2}Cardholder Facial Image: reading it needs the PIN: --login$/mu);
  expect(stdout).toMatch(/^No defect was found\.$/mu);
});

test("a defect: exit code 5, the section, what it means and what to do", async () => {
  const { card, authority } = await issueCard({ certificateUuid: OTHER_UUID });
  await saveCard(card, folder.card);
  const ca = folder.file("ca.pem", new X509Certificate(authority).toString());
  const args = ["--virtual", folder.card, "card", "doctor", "--login", "--ca", ca];
  const { code, stdout, stderr } = await cryptoki(args, PIN);
  expect(code).toBe(5);
  expect(stderr).toMatch(/The card has 1 defect\./u);
  expect(stdout).toMatch(/certificate 9E: Its card UUID 03fa9eec-/u);
  expect(stdout).toMatch(/SP 800-73-4 part 1 section 3\.4\.1 \(uuid-differs\)/u);
  expect(stdout).not.toMatch(/Not checked/u);

  const asJson = await cryptoki([...args, "--json"], PIN);
  expect(asJson.code).toBe(5);
  expect(json(asJson)).toMatchObject({
    clean: false,
    transport: "virtual",
    profile: "piv",
    findings: [{ name: "uuid-differs", level: "defect", where: "certificate 9E" }],
    unchecked: [],
  });
  expect(jsonError(asJson)).toMatchObject({ name: "UnsoundCardError", exitCode: 5 });
});

test("--at judges another moment", async () => {
  const { card } = await issueCard();
  await saveCard(card, folder.card);
  const { code, stdout } = await cryptoki(["--virtual", folder.card, "card", "doctor", "--at", "2099-01-01"]);
  expect(code).toBe(5);
  expect(stdout).toMatch(/checked at +2099-01-01T00:00:00\.000Z/u);
  expect(stdout).toMatch(/certificate 9E: It was valid until/u);
});

test.each(["tomorrow", "2026-13-01", "2026-02-30", "1", "01/02/2026"])("--at %s is a usage error", async (date) => {
  const { code, stderr } = await cryptoki(["--virtual", "card", "doctor", "--at", date]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/--at takes a date such as/u);
});

test("--ca: a folder of certificates, a file that is none, one that is not there", async () => {
  const { card, authority } = await issueCard();
  await saveCard(card, folder.card);
  folder.file("authority.der", authority);
  const command = ["--virtual", folder.card, "card", "doctor", "--ca"];
  expect((await cryptoki([...command, folder.path])).code).toBe(0);
  expect((await cryptoki([...command, folder.file("none.pem", "none")])).stderr).toMatch(
    /none\.pem holds no certificate/u,
  );
  expect((await cryptoki([...command, "/nonexistent"])).stderr).toMatch(/cannot read \/nonexistent/u);
});

test("a wrong PIN costs one try and ends it with the PIN's exit code", async () => {
  const { card } = await issueCard();
  await saveCard(card, folder.card);
  const { code, stderr } = await cryptoki(["--virtual", folder.card, "card", "doctor", "--login"], WRONG_PIN);
  expect(code).toBe(4);
  expect(stderr).toMatch(/2 tries are left/u);
});

test("without --login a PIN in the environment is not given to the card", async () => {
  const { card } = await issueCard();
  await saveCard(card, folder.card);
  await cryptoki(["--virtual", folder.card, "card", "doctor"], WRONG_PIN);
  const { stdout } = await cryptoki(["--virtual", folder.card, "pin", "status"]);
  expect(stdout).toMatch(/\b3\b/u);
});
