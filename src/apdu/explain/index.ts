/** What commands and answers mean, in words: ISO/IEC 7816-4, -8 and -9, PIV, GlobalPlatform, CAC. */
export { commandText, explainCommand, type CommandExplanation } from "./explain-command.ts";
export { explainResponse, type ResponseExplanation } from "./explain-response.ts";
