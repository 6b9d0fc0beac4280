/** Copies of what cards show without a login, in a folder that only this user can read and write. */
export { directoryStore } from "./directory.ts";
