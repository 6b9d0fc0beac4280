/** A plugin of age: encrypts files for keys on cards, and decrypts them there. */
export { type FindKey, type PluginUser, serveIdentities, serveRecipients } from "./plugin.ts";
export { ageKey, type AgeKey, encodeIdentity, encodeRecipient } from "./recipient.ts";
export { StanzaStream } from "./stanza.ts";
