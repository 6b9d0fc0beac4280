import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { CKA, CKF, CKO, CKU, Cryptoki } from "../../../src/cryptoki/index.ts";
import { profiles } from "../../../src/index.ts";
import { P11KitServer } from "../../../src/p11kit/index.ts";
import { type InProcessCard, MemoryReaders } from "../../../src/pcsc/index.ts";
import { testCard, testPkcs15Card } from "../../virtual/keys.ts";
import { requireLibrary, requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";

/** Programs that write to cards, or sign with keys that want their PIN each time, through p11-kit-client.so. */
const PIN = "123456";
const READER = "Programs";
const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";
/** Our command, on the tokens of the server. */
const OURS = `exec "${process.execPath}" --import "${import.meta.resolve("tsx")}" "${new URL("../../../src/cli/main.ts", import.meta.url).pathname}" "$@"`;
const SHELL = `ours() { bash -c "$OURS" ours --server "$P11_KIT_SERVER_ADDRESS" --pin-source env:PIN "$@"; }`;
/** Signs with the key of a label, and has OpenSSL verify it with the certificate in certificate.pem. */
const SIGN = (label: string): string => `echo "a letter" > letter.txt
  ours sign --token "pkcs11:token=Virtual%20eID%20%28PIN%29" --label ${label} --output letter.sig letter.txt
  openssl x509 -in certificate.pem -pubkey -noout > key.pub
  openssl dgst -sha256 -verify key.pub -signature letter.sig letter.txt`;
const client = requireLibrary("pkcs11/p11-kit-client.so", "p11-kit-modules");

let folder: string;
let slots: Cryptoki["slots"];
let server: P11KitServer | undefined;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "programs-"));
  await writeFile(path.join(folder, "pin"), PIN);
});

afterEach(async () => {
  await server?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function serve(card: InProcessCard, { keepPin = false } = {}): Promise<void> {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, card);
  ({ slots } = new Cryptoki({ pcsc: readers.client({ patience: 500 }), profiles }));
  server = await P11KitServer.listen(path.join(folder, "socket"), {
    application: () => new Cryptoki({ slots, keepPin }),
  });
}

/** Runs a script where the server is; what it wrote, standard error among it, and its exit code. In it `ours` is our command. */
async function shell(script: string): Promise<{ readonly code: number | null; readonly output: string }> {
  const env = { P11_KIT_SERVER_ADDRESS: server?.address, CLIENT: client, PIN, MANAGEMENT_KEY, OURS };
  const { code, stdout } = await run("bash", ["-euo", "pipefail", "-c", `exec 2>&1\n${SHELL}\n${script}`], {
    cwd: folder,
    env,
  });
  return { code, output: stdout };
}

/** The labels of the objects of a class with a CKA_ID, in the first slot. */
async function labels(objectClass: number, id: Uint8Array): Promise<string[]> {
  await using cryptoki = new Cryptoki({ slots });
  await cryptoki.C_Initialize();
  const [slot = 0] = await cryptoki.C_GetSlotList(true);
  const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
  await cryptoki.C_Login(session, CKU.USER, PIN);
  await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: objectClass, [CKA.ID]: id });
  const found: string[] = [];
  for (const object of await cryptoki.C_FindObjects(session)) {
    found.push((await cryptoki.C_GetAttributeValue(session, object, [CKA.LABEL]))[CKA.LABEL]);
  }
  return found;
}

describe("keytool", () => {
  const KEYTOOL = `printf 'name = Card\\nlibrary = %s\\nslotListIndex = 0\\n' "$CLIENT" > card.cfg
    KEYS="-keystore NONE -storetype PKCS11 -addprovider SunPKCS11 -providerarg card.cfg -storepass:env PIN"`;
  const MADE = Buffer.from("made");

  beforeEach(() => {
    requirePrograms("keytool", "jarsigner", "jar", "openssl");
  });

  test.each([
    ["RSA", "-keysize 2048"],
    ["EC", "-groupname secp256r1"],
  ])(
    "makes an %s key with a certificate, replaces the certificate, and takes both off the card",
    async (type, size) => {
      await serve(await testPkcs15Card());
      const made = await shell(`${KEYTOOL}
      keytool -genkeypair -alias made -keyalg ${type} ${size} -dname CN=Made $KEYS
      keytool -certreq -alias made -file request.pem $KEYS
      openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=Authority
      openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -set_serial 4711 -out reply.pem
      cat reply.pem ca.pem > chain.pem
      keytool -importcert -noprompt -alias made -file chain.pem $KEYS
      keytool -list -v -alias made $KEYS`);
      expect(made.output).toMatch(
        /Entry type: PrivateKeyEntry[^]*Owner: CN=Made\nIssuer: CN=Authority\nSerial number: 1267/,
      );
      expect(made.code).toBe(0);
      const signed = await shell(`cp reply.pem certificate.pem\n${SIGN("made")}`);
      expect(signed).toEqual({ code: 0, output: expect.stringContaining("Verified OK") });
      expect(await labels(CKO.PRIVATE_KEY, MADE)).toHaveLength(1);
      expect(await labels(CKO.CERTIFICATE, MADE)).toEqual(["made"]);
      const gone = await shell(`${KEYTOOL}\n keytool -delete -alias made $KEYS`);
      expect(gone).toMatchObject({ code: 0 });
      expect(await labels(CKO.PRIVATE_KEY, MADE)).toEqual([]);
      expect(await labels(CKO.CERTIFICATE, MADE)).toEqual([]);
    },
    120_000,
  );

  test("makes none on a PIV card, which only the security officer changes", async () => {
    await serve(await testCard({ yubico: true }));
    const refused = await shell(`${KEYTOOL}
      keytool -genkeypair -alias made -keyalg RSA -keysize 2048 -dname CN=Made $KEYS`);
    expect(refused.output).toMatch(/CKR_USER_NOT_LOGGED_IN/u);
    expect(refused.code).toBe(1);
  }, 60_000);

  const JARSIGNER = `${KEYTOOL}
    echo hello > file && jar cf signed.jar file
    jarsigner $KEYS signed.jar "Certificate for Digital Signature"
    jarsigner -verify signed.jar`;

  test("jarsigner signs with a PIV signature key where the PIN is kept", async () => {
    await serve(await testCard(), { keepPin: true });
    const signed = await shell(JARSIGNER);
    expect(signed.output).toContain("jar verified.");
    expect(signed.code).toBe(0);
  }, 60_000);

  test("jarsigner is refused where it is not", async () => {
    await serve(await testCard());
    const refused = await shell(JARSIGNER);
    expect(refused.output).toContain("CKR_USER_NOT_LOGGED_IN");
    expect(refused.code).toBe(1);
  }, 60_000);
});

describe("ssh-agent", () => {
  const SIGNS = `printf '#!/bin/sh\\necho "$PIN"\\n' > askpass && chmod +x askpass
    export SSH_ASKPASS="$PWD/askpass" SSH_ASKPASS_REQUIRE=force
    eval "$(ssh-agent)"
    trap 'kill "$SSH_AGENT_PID"' EXIT
    ssh-add -s "$CLIENT"
    ssh-add -L | grep 'SIGN pubkey' > key.pub
    echo hello > file
    ssh-keygen -Y sign -f key.pub -n file file
    ssh-keygen -Y check-novalidate -n file -s file.sig < file`;

  beforeEach(() => {
    requirePrograms("ssh-agent", "ssh-add", "ssh-keygen");
  });

  test("signs with a PIV signature key where the PIN is kept", async () => {
    await serve(await testCard(), { keepPin: true });
    const signed = await shell(SIGNS);
    expect(signed.output).toContain('Good "file" signature with ECDSA key');
    expect(signed.code).toBe(0);
  }, 60_000);

  test("gives up such a key where it is not", async () => {
    await serve(await testCard());
    const refused = await shell(SIGNS);
    expect(refused.output).toContain("agent refused operation");
    expect(refused.code).not.toBe(0);
  }, 60_000);
});

describe("NSS", () => {
  const TOKEN = "Virtual eID (PIN)";
  const DATABASE = `mkdir -p nss
    certutil -N -d sql:nss --empty-password
    modutil -dbdir sql:nss -force -add Cards -libfile "$CLIENT"`;

  beforeEach(() => {
    requirePrograms("certutil", "modutil", "pk12util", "openssl");
  });

  test.each([
    ["RSA", "rsa:2048"],
    ["EC", "ec -pkeyopt ec_paramgen_curve:P-256"],
  ])(
    "pk12util imports an %s key with its certificate, and the key signs",
    async (type, kind) => {
      await serve(await testPkcs15Card());
      const imported = await shell(`${DATABASE}
      openssl req -x509 -newkey ${kind} -nodes -keyout key.pem -out certificate.pem -subj /CN=Imported
      openssl pkcs12 -export -in certificate.pem -inkey key.pem -name imported -out key.p12 -passout pass:secret
      pk12util -i key.p12 -d sql:nss -h "${TOKEN}" -k pin -W secret
      certutil -L -d sql:nss -h "${TOKEN}" -f pin
      certutil -K -d sql:nss -h "${TOKEN}" -f pin`);
      expect(imported.output).toContain("PKCS12 IMPORT SUCCESSFUL");
      expect(imported.output).toMatch(/\(PIN\):imported +u,u,u/);
      expect(imported.output).toMatch(new RegExp(`${type.toLowerCase()} +[0-9a-f]{40} +imported`, "u"));
      expect(imported.code).toBe(0);
      const signed = await shell(SIGN("imported"));
      expect(signed).toEqual({ code: 0, output: expect.stringContaining("Verified OK") });
    },
    60_000,
  );

  /** With OpenSC it logs in first: opensc-certutil-delete.txt. */
  test("certutil -D makes no login, and the certificate stays on a card that wants the PIN", async () => {
    await serve(await testPkcs15Card());
    const refused = await shell(`${DATABASE}
      certutil -D -d sql:nss -n "${TOKEN}:Authentication RSA at work" -f pin`);
    expect(refused.output).toContain("unable to delete certificate");
    expect(refused.code).toBe(255);
    expect(await labels(CKO.CERTIFICATE, Uint8Array.of(1))).toContain("Authentication RSA at work");
  }, 60_000);
});

test("pkcs11-tool shows the key pair that it made as security officer", async () => {
  requirePrograms("pkcs11-tool");
  await serve(await testCard());
  const { code, output } =
    await shell(`pkcs11-tool --module "$CLIENT" --login --login-type so --so-pin "$MANAGEMENT_KEY" \
    --keypairgen --key-type EC:prime256v1 --id 02 --label made`);
  expect(output).toMatch(/^Private Key Object; EC\n +label: +SIGN key\n +ID: +02$/m);
  expect(output).toMatch(/^Public Key Object; EC +EC_POINT 256 bits$/m);
  expect(output).not.toContain("Data object");
  expect(code).toBe(0);
}, 60_000);

describe("pkcs11-tool and p11tool on a YubiKey", () => {
  const OFFICER = `officer() { pkcs11-tool --module "$CLIENT" --login --login-type so --so-pin "$MANAGEMENT_KEY" "$@"; }
    URI=$(p11tool --provider "$CLIENT" --list-token-urls | grep -m 1 model=PIV)`;
  const WRONG = "000102030405060708090a0b0c0d0e0f1011121314151617";

  beforeEach(() => {
    requirePrograms("pkcs11-tool", "p11tool", "openssl");
  });

  test("move and delete a key as security officer, and read the attestation of another", async () => {
    await serve(await testCard({ yubico: true }));
    const managed = await shell(`${OFFICER}
      officer --set-id 05 --type privkey --id 01
      officer --delete-object --type privkey --id 05
      officer --keypairgen --key-type EC:prime256v1 --id 01 > made.txt
      pkcs11-tool --module "$CLIENT" --read-object --type cert --label "X.509 Certificate for PIV Attestation 9a" --output-file attestation.der
      openssl x509 -inform DER -in attestation.der -noout -subject -issuer`);
    expect(managed.output).toMatch(/^Result:Private Key Object; RSA *\n +label: +Retired KEY MAN 1\n +ID: +05$/mu);
    expect(managed.output).toMatch(
      /CN = Virtual YubiKey PIV Attestation 9a\nissuer=.*CN = Virtual YubiKey PIV Attestation$/mu,
    );
    expect(managed.code).toBe(0);
    expect(await labels(CKO.PRIVATE_KEY, Uint8Array.of(5))).toEqual([]);
    expect(await labels(CKO.PRIVATE_KEY, Uint8Array.of(1))).toHaveLength(1);
  }, 60_000);

  test("are refused where they may not initialise, and the keys stay", async () => {
    await serve(await testCard({ yubico: true }));
    const init = (key: string): string =>
      `pkcs11-tool --module "$CLIENT" --init-token --slot-index 0 --label x --so-pin ${key}`;
    const wrong = await shell(init(WRONG));
    expect(wrong).toEqual({ code: 1, output: expect.stringContaining("CKR_PIN_INCORRECT") });
    const other = await shell(`${OFFICER}
      p11tool --provider "$CLIENT" --batch --initialize --label x --set-so-pin ${WRONG} "$URI"`);
    expect(other).toEqual({ code: 1, output: expect.stringMatching(/PIN/u) });
    {
      await using cryptoki = new Cryptoki({ slots });
      await cryptoki.C_Initialize();
      const [slot = 0] = await cryptoki.C_GetSlotList(true);
      await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
      const busy = await shell(init("$MANAGEMENT_KEY"));
      expect(busy).toEqual({ code: 1, output: expect.stringContaining("CKR_SESSION_EXISTS") });
    }
    expect(await labels(CKO.PRIVATE_KEY, Uint8Array.of(1))).toHaveLength(1);
  }, 60_000);

  test("set no PIN for the officer once the PUK is another one", async () => {
    await serve(await testCard({ yubico: true, puk: "97531864" }));
    const refused = await shell(`${OFFICER}
      officer --init-pin --new-pin 246802`);
    expect(refused).toEqual({ code: 1, output: expect.stringContaining("CKR_FUNCTION_NOT_SUPPORTED") });
    expect(await labels(CKO.PRIVATE_KEY, Uint8Array.of(1))).toHaveLength(1);
  }, 60_000);
});
