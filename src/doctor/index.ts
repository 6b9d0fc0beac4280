/**
 * Examines a card: asks everything that can be asked without spending a try of a PIN or changing anything, and says where the card
 * differs from its standard, what that means, and what can be done.
 */
import { toHex } from "../bytes/index.ts";
import { type Card, type CardApplication, PinError } from "../card/index.ts";
import { CertificateJudge } from "./certificates.ts";
import { Authorities, readCertificates } from "./chain.ts";
import { Examination, type Finding, type Unchecked } from "./examination.ts";
import type { ExchangeLog } from "./exchange-log.ts";
import type { Libraries } from "./libraries.ts";
import type { Login } from "./piv/keys.ts";
import { judgePinStatus } from "./pin-status.ts";
import { examinePiv } from "./piv/examine.ts";
import { examinePkcs15 } from "./pkcs15.ts";
import { examineToken } from "./tokens.ts";

export { ALL_CHECKS } from "./catalogue.ts";
export { type Check, type Finding, type Level, type Unchecked } from "./examination.ts";
export { ExchangeLog } from "./exchange-log.ts";
export { INSTALL, type Libraries, LibraryMissingError, loadLibraries } from "./libraries.ts";
export { readCertificates };

export interface ExamineOptions {
  readonly libraries: Libraries;
  /** The moment at which validity is judged. */
  readonly at: Date;
  /** Certificates of the authorities that the user trusts, DER; chains are not checked without. */
  readonly authorities?: readonly Uint8Array[];
  /** Has heard of every exchange with the card. */
  readonly log: ExchangeLog;
  /** The user's PIN; it is verified once for the card, and once more before each use of a key that wants it. */
  readonly pin?: Uint8Array;
}

/** What an examination has found. */
export interface Report {
  readonly profile: CardApplication["profile"];
  readonly atr: string;
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly serialNumber: string;
  readonly findings: readonly Finding[];
  readonly unchecked: readonly Unchecked[];
}

/**
 * Examines a card.
 * @throws {PinError} for the PIN; {CardAccessError} if the card cannot be reached.
 */
export async function examineCard(card: Card, application: CardApplication, options: ExamineOptions): Promise<Report> {
  const { libraries, at, authorities, log, pin } = options;
  const examination = new Examination(at);
  const trusted = authorities && new Authorities(libraries, authorities);
  const judge = new CertificateJudge(libraries, trusted, examination);
  if (!trusted) examination.unchecked("certificate chains", "no authorities are given: --ca");
  const [token] = application.tokens;
  if (!token) throw new TypeError("a card application without a token");
  const login = pin && ((): Promise<void> => token.login("user", pin));
  await login?.();
  try {
    if (application.profile === "piv") await examinePiv(card, examination, judge, login);
    else await examineTokens(card, application, examination, judge, login, log);
  } finally {
    if (login) await token.logout();
  }
  log.examine(examination);
  const { label, manufacturer, model, serialNumber } = await token.info();
  return {
    profile: application.profile,
    atr: toHex(card.atr),
    label,
    manufacturer,
    model,
    serialNumber,
    findings: examination.findings,
    unchecked: examination.notLookedAt,
  };
}

/** A card without data objects of PIV: what its tokens show, and how its PINs stand. */
async function examineTokens(
  card: Card,
  application: CardApplication,
  examination: Examination,
  judge: CertificateJudge,
  login: Login,
  log: ExchangeLog,
): Promise<void> {
  for (const token of application.tokens) {
    await examineToken(token, examination, judge, token === application.tokens[0] ? login : undefined);
    await token.pinStatus("user").catch((error: unknown) => {
      // The log has its status word.
      if (error instanceof PinError || !(error instanceof Error)) throw error;
    });
  }
  for (const [reference, sw] of log.pinStatuses()) {
    const name = `PIN ${reference.toString(16).toUpperCase().padStart(2, "0")}`;
    judgePinStatus(examination, name, sw, "ISO/IEC 7816-15 section 8.9");
  }
  if (application.profile === "pkcs15") await examinePkcs15(card, application, examination);
}
