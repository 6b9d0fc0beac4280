import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { testCard, testPkcs15Card } from "../../virtual/keys.ts";
import { CAC_PIN, startLibcacard } from "../cac/libcacard.ts";
import { requirePrograms } from "../rig/require.ts";
import { run, type RunResult } from "../rig/run.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

let card: PluggedIn | undefined;
afterEach(() => card?.[Symbol.asyncDispose]());

/** The suite as a user runs it. */
const suite = (env: Readonly<Record<string, string>> = {}): Promise<RunResult> =>
  run(process.execPath, ["--import", "tsx", "test/card-suite/main.ts"], {
    env: { CRYPTOKI_PIN: undefined, ...card?.env, ...env },
    timeout: 300_000,
  });

/** Tries that the PINs have left, as OpenSC counts them. */
const tries = async (): Promise<string> => (await card?.succeed("pkcs11-tool", "--list-slots")) ?? "";

/** The report's lines on objects: those that both sides have, each with what the two say differently, or one side alone has. */
function objectsIn(report: string): string[] {
  const lines = report.split("\n").filter((line) => /^ {2}(both|here only|OpenSC only) |^ {4}\S/u.test(line));
  return lines.join("\n").split(/\n(?= {2}\S)/u);
}

/** The report has the serial number as CK_TOKEN_INFO has it, 16 characters, and OpenSC's is the same. */
const SERIAL = /^ {2}serial: [\dA-Fa-f]{16}$/mu;

describe("the suite for the card in the reader", () => {
  test("reports on a PIV card, and uses its keys with the PIN", async () => {
    requirePrograms("pkcs11-tool");
    card = await plugIn(await testCard(), "Suite");
    const before = await tries();
    const { code, stdout, stderr } = await suite();
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^reader Suite.*: ATR 3b/mu);
    expect(stdout).toMatch(SERIAL);
    const subject = "C=ZZ, O=Test Cards, CN=Test Cardholder; ";
    const objects = objectsIn(stdout);
    for (const [id, purpose] of [
      ["01", "PIV Authentication"],
      ["02", "Digital Signature"],
      ["03", "Key Management"],
      ["04", "Card Authentication"],
    ] as const) {
      // Bytes, serial number and subject are OpenSC's too: nothing follows.
      const title = `both        certificate ${id} "Certificate for ${purpose}" ${subject}`;
      expect(objects).toContainEqual(expect.stringMatching(new RegExp(`^ {2}${title}\\d+ bytes$`, "u")));
    }
    expect(objects).toContain('  both        public 02 "SIGN pubkey" EC; 256; verify');
    expect(objects).toContain(
      '  both        public 03 "KEY MAN pubkey" RSA; 2048; encrypt, verify, wrap\n' +
        "    uses: encrypt, verify, wrap (OpenSC: encrypt, wrap)",
    );
    expect(stdout).toMatch(/^ {2}objects: \d+ APDUs$/mu);
    expect(stdout).not.toContain("login:");
    const used = await suite({ CRYPTOKI_PIN: "123456" });
    expect(used.stdout).toMatch(/^ {2}key 01 .*: signature right$/mu);
    expect(used.stdout).toMatch(/^ {2}key 02 .*: signature right$/mu);
    expect(used.stdout).toMatch(/^ {2}key 03 .*: (decryption|key agreement) right$/mu);
    expect(used.stdout).toMatch(/^no result was wrong$/mu);
    expect(used.code).toBe(0);
    expect(used.stdout).not.toContain("123456");
    expect(await tries()).toBe(before);
    const another = await suite({ CRYPTOKI_PIN: "123456", CRYPTOKI_TOKEN: "another" });
    expect(another.stdout).toMatch(
      /^no token was tried with the PIN: none has the label "another" of CRYPTOKI_TOKEN$/mu,
    );
    expect(another.code).toBe(1);
  });

  test("reports on a PKCS #15 card with two PINs, and gives the PIN to one token alone", async () => {
    requirePrograms("pkcs11-tool");
    card = await plugIn(await testPkcs15Card(), "Suite");
    const before = await tries();
    const first = await suite({ CRYPTOKI_PIN: "123456" });
    expect(first.stdout).toMatch(/^ {2}key 01 .*: signature right$/mu);
    expect(first.stdout.match(new RegExp(SERIAL, "gmu"))).toHaveLength(2);
    expect(objectsIn(first.stdout)).toContain('  both        private 02 "Authentication EC" EC; derive, sign');
    expect(objectsIn(first.stdout)).toContain('  both        data  "Private note"');
    expect(first.stdout.match(/^ {2}login: /gmu)).toHaveLength(1);
    const second = await suite({ CRYPTOKI_PIN: "654321", CRYPTOKI_TOKEN: "Virtual eID (Signature PIN)" });
    expect(second.stdout).toMatch(/^ {2}key 03 .*: signature right$/mu);
    expect(second.stdout).toMatch(/^ {2}key 04 .*: signature right$/mu);
    expect([first.code, second.code]).toEqual([0, 0]);
    expect(await tries()).toBe(before);
  });

  test("reports on libcacard's CAC, whose objects OpenSC has too, field by field", async () => {
    requirePrograms("pkcs11-tool");
    await using cac = await startLibcacard();
    card = await plugIn(cac, "Suite");
    const before = await tries();
    const { code, stdout, stderr } = await suite({ CRYPTOKI_PIN: CAC_PIN });
    expect(await tries()).toBe(before);
    await card[Symbol.asyncDispose]();
    card = undefined;
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^ {2}label: HOLDER\.CARD\.A\.1234567890$/mu);
    expect(stdout).toMatch(SERIAL);
    for (const id of ["0001", "0002", "0003"]) {
      expect(stdout).toMatch(new RegExp(`^ {2}key ${id} .*: signature right$`, "mu"));
      expect(stdout).toMatch(new RegExp(`^ {2}key ${id} .*: decryption right$`, "mu"));
    }
    // The card says nothing of uses: OpenSC has them from the certificates.
    const uses = { "0001": "decrypt, sign", "0002": "sign", "0003": "decrypt" };
    const publicUses = { "0001": "encrypt, verify", "0002": "verify", "0003": "encrypt" };
    const titles = ["ID", "Email Signature", "Email Encryption"].map((name) => `"CAC ${name} Certificate"`);
    const ids = ["0001", "0002", "0003"] as const;
    const units = ["Identity", "Signature", "Encryption"];
    expect(objectsIn(stdout)).toEqual([
      ...ids.map(
        (id, index) =>
          `  both        private ${id} ${titles[index] ?? ""} RSA; decrypt, sign, unwrap\n` +
          `    uses: decrypt, sign, unwrap (OpenSC: ${uses[id]})\n` +
          "    access: sensitive (OpenSC: always sensitive, local, never extractable, sensitive)",
      ),
      ...ids.map(
        (id, index) =>
          `  both        public ${id} ${titles[index] ?? ""} RSA; 2048; encrypt, verify, wrap\n` +
          `    uses: encrypt, verify, wrap (OpenSC: ${publicUses[id]})`,
      ),
      ...ids.map((id, index) => {
        const subject = `O=Tests, OU=${units[index] ?? ""}, CN=HOLDER.CARD.A.1234567890`;
        const length = cac.certificates[index]?.length ?? 0;
        return `  both        certificate ${id} ${titles[index] ?? ""} ${subject}; ${length} bytes`;
      }),
      ...["PKI Certificate", "PKI Credential", "Person Instance", "Personnel"].map(
        (label) => `  both        data  "${label}"`,
      ),
      ...["TokenSerialNumber", "ATR", "TokenLabel", "UpdateCount"].map((label) => `  here only   data  "${label}"`),
    ]);
  });
});
