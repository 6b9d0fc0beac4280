/** Who may: everybody, nobody, or who verified the PIN with this reference, 1 to 14. */
export type Access = "always" | "never" | number;

/** Who may do what with a file. */
export interface AccessRules {
  /** Reads an EF, uses a key, makes files in a DF. */
  readonly use: Access;
  readonly update: Access;
  readonly delete: Access;
  /** Makes a key pair in a key file. */
  readonly generate: Access;
}

/** Everybody reads, nobody changes. */
export const READ_ONLY: AccessRules = { use: "always", update: "never", delete: "never", generate: "never" };
/** For a file whose maker says nothing: everybody may do everything, as ISO/IEC 7816-4 section 9.3 has it without rules. */
export const OPEN: AccessRules = { use: "always", update: "always", delete: "always", generate: "always" };
