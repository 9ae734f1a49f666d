export * from "./client.js";
export { ConnectionError, ResponseError, StatusError, TimeoutError, WhittleError } from "./errors.js";
export type { CallOptions, ClientOptions } from "./transport.js";
export type * from "./types.js";
