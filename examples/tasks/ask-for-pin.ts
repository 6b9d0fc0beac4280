/** Where the examples of this folder have their secrets from: the environment. A program of your own asks its user. */
function required(variable: string): string {
  const value = process.env[variable];
  if (value === undefined) throw new Error(`set ${variable}`);
  return value;
}

export const askForPin = (): string => required("CRYPTOKI_PIN");
export const askForNewPin = (): string => required("CRYPTOKI_NEW_PIN");
export const askForPuk = (): string => required("CRYPTOKI_PUK");
/** The management key of a PIV card, in hexadecimal. */
export const askForManagementKey = (): string => required("CRYPTOKI_SO_PIN");
