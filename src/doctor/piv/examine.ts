import type { Card } from "../../card/index.ts";
import { CONTAINER, PivInspection } from "../../piv/index.ts";
import type { CertificateJudge } from "../certificates.ts";
import type { Examination } from "../examination.ts";
import { examineBiometrics } from "./biometrics.ts";
import { examineChuid, Identities } from "./chuid.ts";
import { examineDiscovery, examinePins } from "./pin.ts";
import { type Login, proveKeys } from "./keys.ts";
import { examineAnswers, examineCapabilities, examinePrinted } from "./other-objects.ts";
import { type PivPatient, readObjects } from "./patient.ts";
import { examineSecurityObject } from "./security-object.ts";
import { examineSlots } from "./slots.ts";

/**
 * Examines a PIV card.
 * @param pin The cardholder's; undefined skips what it protects.
 * @throws {PinError} if it is wrong.
 */
export async function examinePiv(
  card: Card,
  examination: Examination,
  judge: CertificateJudge,
  pin: Uint8Array | undefined,
): Promise<void> {
  const inspection = new PivInspection(card);
  const login = pin && ((): Promise<void> => inspection.login(pin));
  await login?.();
  try {
    await examineObjects(inspection, card.atr, examination, judge, login);
  } finally {
    if (login) await inspection.logout();
  }
}

async function examineObjects(
  inspection: PivInspection,
  atr: Uint8Array,
  examination: Examination,
  judge: CertificateJudge,
  login: Login,
): Promise<void> {
  const objects = await readObjects(inspection);
  const patient: PivPatient = { examination, judge, inspection, objects, altered: new Set() };
  examineAnswers(patient);
  examineDiscovery(patient);
  await examinePins(patient, atr, login);
  examineCapabilities(patient);
  const chuid = await examineChuid(patient);
  const identities = new Identities();
  // An altered CHUID is no reference for the others.
  if (!patient.altered.has(CONTAINER.CHUID)) {
    identities.fascn(CONTAINER.CHUID.name, chuid.fascn);
    identities.uuid(CONTAINER.CHUID.name, chuid.guid);
  }
  const slots = await examineSlots(patient, chuid, identities);
  await examineBiometrics(patient, identities, chuid.signers);
  await examineSecurityObject(patient, chuid.signers);
  examinePrinted(patient, chuid.expires);
  identities.compare(examination);
  await proveKeys(patient, slots, login);
}
