/** The SSH agent protocol (RFC 9987) over keys of cards: messages, OpenSSH's destinations, a server. */
export { type Confirmation, SshAgent, type SshAgentOptions } from "./agent.ts";
export { CardKeys, type CardKeysOptions } from "./card-keys.ts";
export { SshAgentConnection } from "./client.ts";
export { fingerprintOf } from "./public-key.ts";
export { AgentServer, type AgentServerOptions } from "./server.ts";
