/**
 * Common Access Cards (GSC-IS 2.1, NIST IR 6887): the ID card of the US Department of Defense before it became a PIV card, and the
 * card of libcacard, which QEMU gives its guests. Each private key, with its certificate, and each container of data has an applet of
 * its own; one PIN guards the use of all keys.
 */
export { cac, cacUnlisted } from "./profile.ts";
