import { secretUtf8, toHex, utf8, wipe } from "../bytes/index.ts";
import type { CardToken, PinInfo } from "../card/index.ts";
import { digest, randomBytes } from "../crypto/index.ts";
import { CardLogins, initialValues, missing } from "./card-logins.ts";
import * as steps from "./card-steps.ts";
import { PlanError } from "./fields.ts";
import { isNew, type Plan, type PlannedSecret } from "./plan.ts";
import {
  type CardState,
  checkAbilities,
  checkDefaults,
  checkKind,
  keyOnCard,
  lookAt,
  placeOf,
  requireRoots,
  SetupRefusedError,
} from "./preflight.ts";
import { sealedFile, secretsFile, SetupRun, transcriptFile } from "./run.ts";
import { CardSecrets, isWeak, KEY_BYTES, randomDigits, randomKey, seal, type SecretName } from "./secrets.ts";
import type { SetupCard, SetupTools } from "./tools.ts";
import { Transcript } from "./transcript.ts";

/** How a setup went. */
export interface SetupResult {
  readonly serial: string;
  /** Whether the card was set up by this plan before, and nothing was to do. */
  readonly wasDone: boolean;
  readonly transcript: string;
  /** Of the transcript's last entry: with it a changed transcript is found later. */
  readonly digest: string;
  /** The file of secrets; undefined if the plan sets none. */
  readonly secrets: string | undefined;
}

/** What the plan's files hold. */
interface Files {
  readonly roots: readonly Uint8Array[];
  readonly sealTo: Uint8Array | undefined;
}

/**
 * Sets up the card in the reader as a plan says. Nothing is changed before the card, the plan and everything that it names are checked, and
 * the card's new secrets are on the disk. A run that was interrupted goes on where it was: the transcript says what is done, and the file of
 * secrets which PIN and keys the card may have.
 * @param source The plan as it was read: its digest says whether an interrupted run was of the same plan.
 * @throws {SetupRefusedError} if the card is not one for the plan; {PlanError}; {TranscriptError}; {PinError}; {AttestationError};
 *   {CardError}.
 */
export async function setUpCard(plan: Plan, source: Uint8Array, tools: SetupTools): Promise<SetupResult> {
  const files = await readFiles(plan, tools);
  const planDigest = toHex(digest("sha256", source));
  const { run, wasDone } = await tools.connect((card) => begin(plan, planDigest, card, tools));
  try {
    if (!wasDone) {
      if (plan.reset && !run.isDone("reset")) await tools.connect((card) => reset(run, card));
      await tools.connect((card) => fill(run, card, files.roots));
    }
    return await finish(run, wasDone, files.sealTo);
  } finally {
    run.fresh[Symbol.dispose]();
    run.earlier[Symbol.dispose]();
  }
}

async function readFiles({ attestation, secrets }: Plan, tools: SetupTools): Promise<Files> {
  const roots = attestation ? requireRoots(await tools.readCertificates(attestation.roots)) : [];
  const [sealTo] = secrets ? await tools.readCertificates(secrets.sealTo) : [];
  if (secrets && !sealTo) throw new PlanError("secrets.sealTo: the file holds no certificate");
  // What cannot be sealed to is found before the card is changed.
  if (sealTo) await seal(utf8("test"), sealTo);
  return { roots, sealTo };
}

/** The last setup of a card whose files are there. */
interface LastRun {
  readonly name: string;
  readonly transcript: Transcript;
  readonly number: number;
}

const nameOf = (serial: string, number: number): string => {
  const safe = serial.replaceAll(/[^\w.-]/gu, "_");
  return number === 1 ? safe : `${safe}-${number}`;
};

async function lastRun(serial: string, { store }: SetupTools): Promise<LastRun | undefined> {
  let found: LastRun | undefined;
  for (let number = 1; ; number++) {
    const name = nameOf(serial, number);
    const bytes = await store.read(transcriptFile(name));
    if (!bytes) return found;
    found = { name, transcript: Transcript.parse(bytes), number };
  }
}

/** Checks everything, and writes the secrets and the beginning of the transcript; the card is not changed. */
async function begin(
  plan: Plan,
  planDigest: string,
  card: SetupCard,
  tools: SetupTools,
): Promise<{ readonly run: SetupRun; readonly wasDone: boolean }> {
  const state = await lookAt(card);
  checkKind(plan, card, state);
  checkAbilities(plan, card, state);
  const { serial } = state;
  for (const { certificate } of plan.keys ?? []) if (certificate) await tools.contents(certificate, serial);
  const last = await lastRun(serial, tools);
  const earlier = (await storedSecrets(last, tools)) ?? new CardSecrets();
  if (last && (await goesOn(plan, planDigest, last, card.token, state))) {
    const wasDone = isComplete(last);
    if (!wasDone) requireSecrets(last, earlier);
    const of = { serial, name: last.name, transcript: last.transcript, fresh: earlier, earlier: new CardSecrets() };
    return { run: new SetupRun(plan, tools, of), wasDone };
  }
  for (const message of checkDefaults(plan, state)) tools.tell({ kind: "warning", message });
  await requireCurrent(plan, state, earlier, tools);
  await askFirst(plan, state, last !== undefined && !isComplete(last), tools);
  const name = nameOf(serial, (last?.number ?? 0) + 1);
  const fresh = await drawSecrets(plan, (await card.token.info()).pin, tools);
  const of = { serial, name, transcript: Transcript.begin(), fresh, earlier };
  const run = new SetupRun(plan, tools, of);
  await keepSecrets(run);
  await run.done("begin", undefined, beginning(run, planDigest, state));
  return { run, wasDone: false };
}

function beginning(run: SetupRun, planDigest: string, { model, device }: CardState): Readonly<Record<string, unknown>> {
  const { plan, tools, serial, fresh } = run;
  const expires = new Date(tools.now());
  expires.setUTCFullYear(expires.getUTCFullYear() + 10);
  const numbers: steps.DrawnNumbers = {
    guid: uuid(),
    identifier: toHex(randomBytes(14)),
    expires: expires.toISOString().slice(0, 10),
  };
  return {
    tool: "cryptoki",
    version: tools.version,
    plan: plan.name,
    planDigest,
    card: { kind: plan.card.kind, model, serial, firmware: device?.firmware },
    secrets: fresh.isEmpty ? undefined : secretsFile(run.name),
    numbers,
  };
}

/** A random UUID of version 4 (RFC 9562 section 5.4), hexadecimal. */
function uuid(): string {
  const bytes = randomBytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return toHex(bytes);
}

async function storedSecrets(last: LastRun | undefined, { store }: SetupTools): Promise<CardSecrets | undefined> {
  const bytes = last && (await store.read(secretsFile(last.name)));
  if (!bytes) return undefined;
  try {
    return CardSecrets.parse(bytes);
  } finally {
    wipe(bytes);
  }
}

const isComplete = ({ transcript }: LastRun): boolean => transcript.find("complete") !== undefined;

/** Whether the last setup was of the same plan, and the card is as it left it. */
async function goesOn(
  plan: Plan,
  planDigest: string,
  last: LastRun,
  token: CardToken,
  state: CardState,
): Promise<boolean> {
  const { transcript } = last;
  if (transcript.find("begin")?.data["planDigest"] !== planDigest) return false;
  if (isComplete(last)) return isAsSetUp(plan, last, token, state);
  // Another program has reset the card since the PIN was set.
  const hasSetPin = transcript.find("pin")?.data["state"] === "done";
  return !(hasSetPin && state.device?.hasDefaultPin === true);
}

/** @throws {SetupRefusedError} if the secrets of an interrupted setup are not there. */
function requireSecrets({ name, transcript }: LastRun, secrets: CardSecrets): void {
  const hasNone = transcript.find("begin")?.data["secrets"] === undefined;
  if (hasNone || !secrets.isEmpty || transcript.find("sealed")) return;
  throw new SetupRefusedError(
    `the setup of this card was interrupted, and its secrets are not in ${secretsFile(name)} any more; bring the file back, or reset the card: cryptoki token reset`,
  );
}

/** Whether the card still has the keys of a finished setup, and no PIN of the factory's where the plan sets one. */
async function isAsSetUp(
  plan: Plan,
  { transcript }: LastRun,
  token: CardToken,
  { device }: CardState,
): Promise<boolean> {
  if (isNew(plan.pin) && device?.hasDefaultPin) return false;
  for (const key of plan.keys ?? []) {
    const made = transcript.find("key", placeOf(key))?.data["publicKey"];
    if ((await keyOnCard(token, key)) !== made) return false;
  }
  return true;
}

/** The card's present secrets that the steps of a plan need. */
function neededSecrets(plan: Plan, { device }: CardState): ReadonlySet<SecretName> {
  const signs = (plan.keys ?? []).some(({ certificate }) => certificate !== undefined);
  const writes =
    isNew(plan.managementKey?.value) ||
    [plan.chuid, plan.ccc, plan.printedInformation, plan.keys, plan.tries].some((field) => field !== undefined);
  // The PIN opens the management key, unless that is kept apart.
  const isApart = (device?.officerKeyStorage ?? "apart") === "apart";
  const needs: readonly (readonly [SecretName, boolean])[] = [
    ["pin", isNew(plan.pin) || signs || (writes && !isApart)],
    ["puk", isNew(plan.puk)],
    ["management-key", writes && isApart],
  ];
  return new Set(needs.filter(([, isNeeded]) => isNeeded).map(([name]) => name));
}

/** @throws {SetupRefusedError} if the card has secrets of its own that a step needs, and they are not known. */
async function requireCurrent(plan: Plan, state: CardState, earlier: CardSecrets, tools: SetupTools): Promise<void> {
  if (plan.reset) return;
  const { device, pin } = state;
  const needed = neededSecrets(plan, state);
  const isDefault: Readonly<Partial<Record<SecretName, boolean | undefined>>> = {
    pin: device?.hasDefaultPin,
    puk: device?.hasDefaultPuk,
    "management-key": device?.hasDefaultOfficerKey,
  };
  for (const name of needed) {
    if (isDefault[name] !== false || earlier.get(name)) continue;
    const given = await tools.currentSecret(name);
    if (!given) throw new SetupRefusedError(`${missing(name)}; nothing was changed`);
    wipe(given);
  }
  if (needed.has("pin") && pin.triesLeft === 0) {
    throw new SetupRefusedError(
      "the card's PIN is blocked: unblock it with cryptoki pin unlock, or have the plan reset the card; nothing was changed",
    );
  }
}

async function askFirst(plan: Plan, state: CardState, wasInterrupted: boolean, tools: SetupTools): Promise<void> {
  const end = plan.reset ? "all that is on it is destroyed for ever" : "its PIN, keys and certificates are overwritten";
  if (state.inService) await tools.confirm(`the card ${state.serial} is in service already, and ${end}`);
  else if (wasInterrupted)
    await tools.confirm(`a setup of the card ${state.serial} by another plan was not finished, and ${end}`);
}

/** The secrets that the card gets. @throws {PlanError} for one that the card cannot have, or that the plan calls too weak. */
async function drawSecrets(plan: Plan, pin: PinInfo, tools: SetupTools): Promise<CardSecrets> {
  const secrets = new CardSecrets();
  const { managementKey } = plan;
  const planned: readonly (readonly [SecretName, string, PlannedSecret | undefined])[] = [
    ["pin", "pin", plan.pin],
    ["puk", "puk", plan.puk],
    ["so-pin", "soPin", plan.soPin],
    ["management-key", "managementKey.value", managementKey?.value],
  ];
  for (const [name, field, secret] of planned) {
    if (secret === undefined || !isNew(secret)) continue;
    const algorithm = managementKey?.algorithm ?? "aes-256";
    const value =
      name === "management-key" && secret === "random"
        ? randomKey(algorithm)
        : await drawSecret(name, field, secret, pin, tools);
    try {
      checkForm(name, field, value, pin, plan);
      if (isWeak(value)) refuseWeak(plan, field, tools);
      secrets.set(name, value);
    } finally {
      wipe(value);
    }
  }
  return secrets;
}

async function drawSecret(
  name: SecretName,
  field: string,
  secret: PlannedSecret,
  { minLength, maxLength }: PinInfo,
  tools: SetupTools,
): Promise<Uint8Array> {
  const length = secret === "random" ? Math.min(Math.max(name === "pin" ? 6 : 8, minLength), maxLength) : undefined;
  if (length !== undefined) return randomDigits(length);
  if (typeof secret === "object" && secret.random !== undefined) {
    if (name === "management-key")
      throw new PlanError(`${field}: a random key has its algorithm's length; write "random"`);
    return randomDigits(secret.random);
  }
  if (typeof secret === "object" && secret.clear !== undefined) return secretUtf8(secret.clear);
  return tools.readSecret(name, typeof secret === "object" ? (secret.file ?? "") : undefined);
}

function checkForm(
  name: SecretName,
  field: string,
  value: Uint8Array,
  { minLength, maxLength }: PinInfo,
  plan: Plan,
): void {
  if (name === "management-key") {
    const { algorithm } = plan.managementKey ?? {};
    const lengths = algorithm ? [KEY_BYTES[algorithm]] : [16, 24, 32];
    const isHex = value.every((byte) => /[0-9a-f]/iu.test(String.fromCharCode(byte)));
    if (isHex && lengths.includes(value.length / 2)) return;
    throw new PlanError(`${field}: it has ${lengths.map((length) => 2 * length).join(", ")} hexadecimal digits`);
  }
  // The bounds of a PUK and an SO PIN are the card's own to say, where it is not PIV.
  if (name === "so-pin" || (plan.card.kind === "pkcs15" && name === "puk")) return;
  if (value.length >= minLength && value.length <= maxLength) return;
  throw new PlanError(`${field}: on this card it has ${minLength} to ${maxLength} characters`);
}

function refuseWeak({ weak }: Plan, field: string, tools: SetupTools): void {
  const message = `${field}: everybody guesses it: the factory's, one digit repeated, or digits in a row`;
  if (weak === "refuse") throw new PlanError(message);
  tools.tell({ kind: "warning", message });
}

async function keepSecrets({ fresh, name, tools }: SetupRun): Promise<void> {
  if (fresh.isEmpty) return;
  const bytes = fresh.encode();
  try {
    await tools.store.write(secretsFile(name), bytes, true);
  } finally {
    wipe(bytes);
  }
}

/** Makes the card new. It is recognised anew afterwards. */
async function reset(run: SetupRun, { token }: SetupCard): Promise<void> {
  await run.begin("reset");
  if (token.erase) await token.erase({ signal: run.tools.signal });
  else await initialise(run, token);
  await run.done("reset");
}

/** A card without a way back to the factory's state is initialised by its officer. */
async function initialise({ fresh, plan, tools }: SetupRun, token: CardToken): Promise<void> {
  const soPin = fresh.get("so-pin") ?? (await tools.currentSecret("so-pin"));
  if (!soPin) throw new SetupRefusedError("reset: the card wants its SO PIN for that: give it with --so-pin-source");
  const label = plan.label ?? (await token.info()).label;
  await token.initToken?.(soPin, label, initialValues(fresh), { signal: tools.signal });
}

async function fill(run: SetupRun, { token, profile }: SetupCard, roots: readonly Uint8Array[]): Promise<void> {
  using logins = new CardLogins(run, token, profile === "piv");
  const work: steps.Work = { run, token, logins, roots };
  await steps.setTries(work);
  await logins.set("pin");
  await logins.set("puk");
  await steps.setOfficerPin(work);
  await steps.setManagementKey(work);
  await steps.setLabel(work);
  await steps.writeObjects(work);
  for (const key of run.plan.keys ?? []) await steps.makeKey(work, key);
  if (!run.isDone("checked")) await steps.checkCard(work);
}

async function finish(run: SetupRun, wasDone: boolean, sealTo: Uint8Array | undefined): Promise<SetupResult> {
  const { transcript, tools, name, fresh, serial } = run;
  if (!wasDone) {
    if (sealTo && !fresh.isEmpty && !run.isDone("sealed")) await sealSecrets(run, sealTo);
    await run.done("complete");
  }
  const { signer } = tools;
  if (signer && !transcript.signature) {
    transcript.signature = { publicKey: signer.publicKey, value: signer.sign(utf8(transcript.digest)) };
    await run.save();
  }
  if (sealTo) await tools.store.remove(secretsFile(name));
  const begun = transcript.find("begin")?.data["secrets"];
  const secrets = begun === undefined ? undefined : sealTo ? sealedFile(name) : secretsFile(name);
  return { serial, wasDone, transcript: transcriptFile(name), digest: transcript.digest, secrets };
}

async function sealSecrets(run: SetupRun, sealTo: Uint8Array): Promise<void> {
  const plain = run.fresh.encode();
  try {
    const sealed = await seal(plain, sealTo);
    await run.tools.store.write(sealedFile(run.name), sealed);
    await run.done("sealed", undefined, { file: sealedFile(run.name), sha256: toHex(digest("sha256", sealed)) });
  } finally {
    wipe(plain);
  }
}
