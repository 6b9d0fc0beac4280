/**
 * Common Access Cards (GSC-IS 2.1, NIST IR 6887): the ID card of the US Department of Defense before it became a PIV
 * card, and the card of libcacard, which QEMU provides to its guests. Each private key, with its certificate, and each
 * data container has its own applet; one PIN protects all keys.
 */
export { cac, cacUnlisted, type CacOptions, createCac } from "./profile.ts";
