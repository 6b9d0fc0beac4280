import { encodePem, equalBytes, fromHex, toHex } from "../bytes/index.ts";
import type { CardPrivateKey, CardToken, KeyPrimitive, KeyType } from "../card/index.ts";
import { parsePublicKey, publicKeyName } from "../crypto/index.ts";
import {
  AttestationError,
  CKA_YUBICO,
  CONTAINER,
  encodeCapabilities,
  encodeChuid,
  encodeFascn,
  encodePrintedInformation,
  NON_FEDERAL_FASCN,
  verifyAttestation,
} from "../piv/index.ts";
import { type CardSigningKey, makeRequest, makeSelfSigned } from "./card-certificates.ts";
import type { CardLogins } from "./card-logins.ts";
import type { PlannedKey } from "./plan.ts";
import { holdsCertificate, idOf, keyObject, keyOnCard, placeName, placeOf, SetupRefusedError } from "./preflight.ts";
import type { SetupRun } from "./run.ts";

/** What a step works with. */
export interface Work {
  readonly run: SetupRun;
  readonly token: CardToken;
  readonly logins: CardLogins;
  /** The maker's certificates, DER; empty if the plan has none. */
  readonly roots: readonly Uint8Array[];
}

/** How many tries PIN and PUK have. The card sets both to the factory's with it. */
export async function setTries({ run, token, logins }: Work): Promise<void> {
  const { tries } = run.plan;
  if (!tries || run.isDone("tries")) return;
  const { maxTries } = await token.pinStatus("user", true);
  const device = await token.deviceInfo?.();
  if (maxTries !== tries.pin || device?.pukMaxTries !== tries.puk) {
    await logins.logInUser();
    await logins.logInOfficer();
    await run.begin("tries");
    await token.setPinTries?.(tries, { signal: run.tools.signal });
    logins.forget();
  }
  await run.done("tries", undefined, tries);
}

/** The management key, and where it is kept. */
export async function setManagementKey({ run, token, logins }: Work): Promise<void> {
  const { managementKey } = run.plan;
  const key = run.fresh.get("management-key");
  if (!managementKey || !key || run.isDone("management-key")) return;
  const { protectedByPin = false, algorithm = "aes-256" } = managementKey;
  if (protectedByPin) await logins.logInUser();
  const isSet = await logins.logInOfficer();
  const device = await token.deviceInfo?.();
  const storage = protectedByPin ? "protected" : "apart";
  const chosen = managementKey.algorithm ?? (managementKey.value === "random" ? algorithm : undefined);
  // A protected key is written last: one that is set may lack its place.
  if (!isSet || protectedByPin || device?.officerKeyStorage !== storage) {
    await run.begin("management-key");
    await token.setOfficerKey?.(
      { key, protectedByPin, ...(chosen && { algorithm: chosen }) },
      { signal: run.tools.signal },
    );
  }
  await run.done("management-key", undefined, {
    protectedByPin,
    algorithm: (await token.deviceInfo?.())?.officerKeyAlgorithm,
  });
}

/** The security officer's PIN of a card that has one. */
export async function setOfficerPin({ run, token }: Work): Promise<void> {
  const fresh = run.fresh.get("so-pin");
  // Initialising the card has set it.
  if (!fresh || run.isDone("so-pin") || run.isDone("reset")) return;
  const old = (await run.tools.currentSecret("so-pin")) ?? run.earlier.get("so-pin");
  if (!old) throw new SetupRefusedError("soPin: give the present one with --so-pin-source");
  await run.begin("so-pin");
  await token.changePin?.("so", old, fresh, { signal: run.tools.signal });
  await run.done("so-pin");
}

export async function setLabel({ run, token, logins }: Work): Promise<void> {
  const { label } = run.plan;
  if (label === undefined || run.isDone("label")) return;
  await logins.logInForChanges();
  await token.setLabel?.(label, { signal: run.tools.signal });
  await run.done("label", undefined, { label });
}

/** The numbers of a card that are drawn once, at the beginning. */
export interface DrawnNumbers {
  /** 16 bytes, hexadecimal. */
  readonly guid: string;
  /** 14 bytes, hexadecimal. */
  readonly identifier: string;
  /** When a CHUID ends for which the plan says nothing. */
  readonly expires: string;
}

/** The data objects that an issuer writes. */
export async function writeObjects(work: Work): Promise<void> {
  const { plan, transcript } = work.run;
  const drawn = transcript.find("begin")?.data["numbers"] as DrawnNumbers;
  if (plan.chuid) {
    const { fascn, guid = "random", expires = drawn.expires } = plan.chuid;
    const value = encodeChuid({
      fascn: encodeFascn(fascn ?? NON_FEDERAL_FASCN),
      guid: fromHex(guid.toLowerCase() === "random" ? drawn.guid : guid.replaceAll("-", "")),
      expires: new Date(expires),
    });
    await writeObject(work, "chuid", CONTAINER.CHUID, value);
  }
  if (plan.ccc) await writeObject(work, "ccc", CONTAINER.CCC, encodeCapabilities(fromHex(drawn.identifier)));
  if (plan.printedInformation) {
    const { expires, ...rest } = plan.printedInformation;
    const value = encodePrintedInformation({ ...rest, ...(expires !== undefined && { expires: new Date(expires) }) });
    await writeObject(work, "printed-information", CONTAINER.PRINTED_INFORMATION, value);
  }
}

async function writeObject(
  { run, token, logins }: Work,
  about: string,
  { name, objectId, pin }: (typeof CONTAINER)[keyof typeof CONTAINER],
  value: Uint8Array,
): Promise<void> {
  if (run.isDone("object", about)) return;
  await logins.logInForChanges();
  const object = { class: "data", label: name, application: "", objectId, private: pin, value } as const;
  await token.createObject?.(object, { signal: run.tools.signal });
  // What only the PIN opens is not shown to those who read the transcript.
  await run.done("object", about, pin ? {} : { value: toHex(value) });
}

const TYPES: Readonly<Record<PlannedKey["algorithm"], KeyType>> = {
  rsa2048: { type: "rsa", modulusBits: 2048 },
  rsa3072: { type: "rsa", modulusBits: 3072 },
  rsa4096: { type: "rsa", modulusBits: 4096 },
  p256: { type: "ec", curve: "P-256" },
  p384: { type: "ec", curve: "P-384" },
  ed25519: { type: "edwards", curve: "Ed25519" },
  x25519: { type: "montgomery", curve: "X25519" },
};

/** The card's numbers of the policies. */
const PIN_POLICIES = { never: 1, once: 2, always: 3 } as const;
const TOUCH_POLICIES = { never: 1, always: 2, cached: 3 } as const;

/** Makes a key, has it attested, and makes what the plan wants with it. */
export async function makeKey(work: Work, key: PlannedKey): Promise<void> {
  const { run } = work;
  const about = placeOf(key);
  if (!run.isDone("key", about) || !(await isUsable(work, key))) await generate(work, key);
  const spki = fromHex(String(run.transcript.find("key", about)?.data["publicKey"]));
  if (work.token.attestKey && !run.isDone("attestation", about)) await attest(work, key, spki);
  const { certificate } = key;
  if (!certificate || run.isDone(certificate.kind, about)) return;
  const contents = await run.tools.contents(certificate, run.serial);
  const signing = await signingKey(work, key, spki);
  if (certificate.kind === "request") {
    const pem = encodePem("CERTIFICATE REQUEST", await makeRequest(signing, contents));
    const file = `${run.name}.${about}.request.pem`;
    await run.tools.store.write(file, new TextEncoder().encode(pem));
    await run.done("request", about, { request: pem, file });
    return;
  }
  const value = await makeSelfSigned(signing, contents, run.tools.now(), certificate.days ?? 365);
  await removeCertificates(work, idOf(key));
  await work.logins.logInForChanges();
  const object = { class: "certificate", id: idOf(key), label: key.label ?? "", private: false, value } as const;
  await work.token.createObject?.(object, { signal: run.tools.signal });
  await run.done("self-signed", about, { certificate: encodePem("CERTIFICATE", value) });
}

/** Whether what is left to do with a key can be done: an old YubiKey uses no key that it does not show. */
async function isUsable({ run, token }: Work, key: PlannedKey): Promise<boolean> {
  const { certificate } = key;
  if (!certificate || run.isDone(certificate.kind, placeOf(key))) return true;
  return (await (await keyObject(token, key))?.isPresent({ explicitlyRequested: true })) ?? false;
}

async function generate(work: Work, key: PlannedKey): Promise<void> {
  const { run, token, logins } = work;
  const { pinPolicy, touchPolicy, label } = key;
  const type = TYPES[key.algorithm];
  const id = idOf(key);
  const policies = new Map<number, number>([
    ...(pinPolicy ? [[CKA_YUBICO.PIN_POLICY, PIN_POLICIES[pinPolicy]] as const] : []),
    ...(touchPolicy ? [[CKA_YUBICO.TOUCH_POLICY, TOUCH_POLICIES[touchPolicy]] as const] : []),
  ]);
  // A certificate of the key before would be taken for the new one's.
  await removeCertificates(work, id);
  await logins.logInForChanges();
  const isEc = type.type === "ec";
  const usage = {
    sign: type.type !== "montgomery",
    decrypt: type.type === "rsa",
    derive: isEc || type.type === "montgomery",
  };
  const request = { type, id, ...(label !== undefined && { label }), ...(key.slot === undefined && { usage }) };
  const made = await token.generateKeyPair?.(
    { ...request, ...(policies.size > 0 && { vendorAttributes: policies }) },
    { signal: run.tools.signal },
  );
  if (!made) throw new SetupRefusedError(`the card made no key in ${placeName(key)}`);
  const spki = await made.publicKey.publicKey();
  await run.done("key", placeOf(key), { publicKey: toHex(spki), type: publicKeyName(spki), pinPolicy, touchPolicy });
}

/** Those with a CKA_ID, if there are any. */
async function removeCertificates({ run, token, logins }: Work, id: Uint8Array): Promise<void> {
  for (const object of await token.objects(["certificate"])) {
    if (object.class !== "certificate" || object.destroyable !== true || !equalBytes(object.id, id)) continue;
    if (!(await object.isPresent({ explicitlyRequested: true }))) continue;
    await logins.logInForChanges();
    await token.destroyObject?.(object, { signal: run.tools.signal });
  }
}

async function privateKey(token: CardToken, key: PlannedKey): Promise<CardPrivateKey> {
  const found = await keyObject(token, key);
  if (found) return found;
  throw new SetupRefusedError(`the key in ${placeName(key)} is not on the card any more`);
}

/** @throws {AttestationError} if the card's proof is of another key, another device or other policies, or its chain ends elsewhere. */
async function attest({ run, token, roots }: Work, key: PlannedKey, spki: Uint8Array): Promise<void> {
  const name = placeName(key);
  const device = await token.deviceInfo?.();
  if (device?.firmware === undefined) return;
  const attestation = await token.attestKey?.(await privateKey(token, key), { signal: run.tools.signal });
  if (!attestation) return;
  const facts = await verifyAttestation(attestation, spki, roots);
  if (facts.serial !== undefined && device.serial !== undefined && facts.serial !== device.serial) {
    throw new AttestationError(
      `the attestation of ${name} is of the device ${facts.serial}, and this is ${device.serial}`,
    );
  }
  const { pinPolicy, touchPolicy } = key;
  const isOther =
    (pinPolicy !== undefined && facts.pinPolicy !== PIN_POLICIES[pinPolicy]) ||
    (touchPolicy !== undefined && facts.touchPolicy !== TOUCH_POLICIES[touchPolicy]);
  if (isOther) throw new AttestationError(`the key in ${name} has other policies than the plan's`);
  const certificates = [attestation.certificate, ...attestation.chain].map((der) => encodePem("CERTIFICATE", der));
  await run.done("attestation", placeOf(key), { certificates, root: facts.root ?? "not checked" });
}

async function signingKey({ run, token, logins }: Work, key: PlannedKey, spki: Uint8Array): Promise<CardSigningKey> {
  const found = await privateKey(token, key);
  // Its policies are known once it was found.
  await found.isPresent({ explicitlyRequested: true });
  const { signal } = run.tools;
  return {
    publicKey: parsePublicKey(spki),
    primitives: found.primitives,
    async use(primitive: KeyPrimitive, input: Uint8Array): Promise<Uint8Array> {
      if (key.touchPolicy === "always" || key.touchPolicy === "cached")
        run.tools.tell({ kind: "touch", about: placeName(key) });
      if (found.alwaysAuthenticate && token.authenticate) {
        await using held = await token.authenticate(found, await logins.pin(), { signal });
        return await held.use(primitive, input, { signal });
      }
      if (found.needsLogin) await logins.logInUser();
      return token.use(found, primitive, input, { signal });
    },
  };
}

/** Reads back what was written, and notes how the card stands. */
export async function checkCard({ run, token }: Work): Promise<void> {
  for (const key of run.plan.keys ?? []) {
    const made = run.transcript.find("key", placeOf(key))?.data["publicKey"];
    if ((await keyOnCard(token, key)) !== made) {
      throw new SetupRefusedError(`the key in ${placeName(key)} is not the one that the setup made`);
    }
    const pem = run.transcript.find("self-signed", placeOf(key))?.data["certificate"];
    if (typeof pem === "string" && !(await holdsCertificate(token, key, pem)))
      throw new SetupRefusedError(`the certificate in ${placeName(key)} is not the one that the setup wrote`);
  }
  const { triesLeft, maxTries } = await token.pinStatus("user", true);
  const device = await token.deviceInfo?.();
  await run.done("checked", undefined, {
    pinTriesLeft: triesLeft,
    pinMaxTries: maxTries,
    pukTriesLeft: device?.pukTriesLeft,
    factory: { pin: device?.hasDefaultPin, puk: device?.hasDefaultPuk, managementKey: device?.hasDefaultOfficerKey },
  });
}
