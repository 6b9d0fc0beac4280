/**
 * Ways in which cards with files of ISO/IEC 7816-4 differ from the standard, or from each other where it leaves a choice: by name,
 * with one line that says what the card does.
 */
export const ISO7816_DEVIATIONS = {} as const satisfies Readonly<Record<string, string>>;
