import type { CardToken } from "../card/index.ts";
import type { CertificateContents } from "./card-certificates.ts";
import type { PlannedCertificate } from "./plan.ts";
import type { SecretName } from "./secrets.ts";
import type { TranscriptSigner } from "./transcript.ts";

/** Files that a setup keeps, by their names. */
export interface SetupStore {
  /** Undefined if there is none. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** Writes a file whole or not at all, and has it on the disk before it returns. @param secret Readable by its owner only. */
  write(name: string, bytes: Uint8Array, secret?: boolean): Promise<void>;
  remove(name: string): Promise<void>;
}

/** A token, and what its card is. */
export interface SetupCard {
  readonly token: CardToken;
  /** Of the profile that recognised it: "piv". */
  readonly profile: string;
  readonly isYubiKey: boolean;
}

/** What happens, for people. */
export type SetupEvent =
  /** A step is done, or was done by an earlier run. */
  | { readonly kind: "step"; readonly step: string; readonly about: string | undefined }
  | { readonly kind: "warning"; readonly message: string }
  /** The key wants a touch for its signature. */
  | { readonly kind: "touch"; readonly about: string };

/** What a setup needs of the program that runs it. */
export interface SetupTools {
  /** The program's version, for the transcript. */
  readonly version: string;
  readonly store: SetupStore;
  /** Runs `work` with the token of the card, which is recognised anew. */
  readonly connect: <T>(work: (card: SetupCard) => Promise<T>) => Promise<T>;
  /** The certificates of a file that the plan names, DER. @throws if there is none. */
  readonly readCertificates: (name: string) => Promise<readonly Uint8Array[]>;
  /**
   * A secret as it is typed: the first line of a file that the plan names; undefined: from a prompt, which asks twice. The setup wipes it.
   */
  readonly readSecret: (name: SecretName, file: string | undefined) => Promise<Uint8Array>;
  /** The card's present secret, if the caller was given it. The setup wipes it. */
  readonly currentSecret: (name: SecretName) => Promise<Uint8Array | undefined>;
  /** What a planned certificate says. @param serial Of the card. @throws if it cannot be said. */
  readonly contents: (certificate: PlannedCertificate, serial: string) => Promise<CertificateContents>;
  /** Asks whether something on the card may be destroyed. @throws if not. */
  readonly confirm: (consequence: string) => Promise<void>;
  readonly tell: (event: SetupEvent) => void;
  readonly signer?: TranscriptSigner | undefined;
  readonly now: () => Date;
  readonly signal?: AbortSignal | undefined;
}
