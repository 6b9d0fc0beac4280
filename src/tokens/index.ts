/** Tokens, keys and certificates in a few words, over the C_ functions of any module. {@link openTokens} is the way in. */
export {
  type CommonOptions,
  type OfCards,
  type OfReaders,
  openTokens,
  type OpenTokensOptions,
  type WithProfiles,
} from "./open.ts";
export * from "./parts.ts";
