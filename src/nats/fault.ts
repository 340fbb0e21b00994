/**
 * Why a NATS server can't be used, in words that say what to do: the library and the runtime say what happened to them.
 *
 * @module
 */
import { errors } from "@nats-io/nats-core";
import { JetStreamApiError, jserrors } from "@nats-io/jetstream/internal";
import { NoNatsServer } from "./transport.ts";

/**
 * What to tell people.
 *
 * @param server as in the settings
 */
export function natsFault(error: unknown, server: string): string {
  const message = error instanceof Error ? error.message : String(error);
  const told = (what: string) => `${server}: ${what}`;
  if (error instanceof errors.AuthorizationError) {
    return told("the server refuses the credentials (state.nats.auth)");
  }
  if (error instanceof errors.UserAuthenticationExpiredError) {
    return told("the credentials have expired (state.nats.auth)");
  }
  // A request is refused by an error of another kind with the same text.
  const refused = /Permissions Violation for (Publish|Subscription) to "([^"]*)"/.exec(message);
  if (refused !== null) {
    return told(`this user may not ${refused[1] === "Publish" ? "publish" : "subscribe"} to ${refused[2]}`);
  }
  if (error instanceof jserrors.JetStreamNotEnabled) {
    return told(
      "the server offers no JetStream here (enable it, for this account; see state.nats.jetStream.domain)",
    );
  }
  if (error instanceof JetStreamApiError) return told(`JetStream refuses: ${message}`);
  if (error instanceof NoNatsServer) return told(message);
  if (/does not support 'tls'/.test(message)) {
    return told(
      "the server offers no TLS (name it nats://, without state.nats.tls, or configure its certificate)",
    );
  }
  if (/UnknownIssuer|CaUsedAsEndEntity/.test(message)) {
    return told("the server's certificate is of an authority that isn't trusted (state.nats.tls.caFile)");
  }
  // What the server says of the node's certificate is an alert; what the node finds of the server's isn't.
  if (/fatal alert: CertificateExpired/.test(message)) {
    return told("the client certificate has expired (state.nats.tls.certFile)");
  }
  if (/certificate.*[Ee]xpired|Expired/.test(message)) return told("the server's certificate has expired");
  if (/NotValidForName|certificate not valid for name/.test(message)) {
    return told("the server's certificate is of another name");
  }
  if (/NotValidYet/.test(message)) {
    return told("the server's certificate isn't valid yet (is this machine's clock right?)");
  }
  if (/InvalidContentType|corrupt message/i.test(message)) {
    return told(
      "the server doesn't begin with TLS, as client certificates need it (tls { handshake_first: true })",
    );
  }
  if (/CertificateRequired|BadCertificate|HandshakeFailure|UnknownCA|certificate required/i.test(message)) {
    return told("the server doesn't take the client certificate (state.nats.tls.certFile, handshake_first)");
  }
  if (error instanceof errors.TimeoutError || message === "timeout") {
    return told("the server doesn't answer (if it begins with TLS, set state.nats.tls.handshakeFirst)");
  }
  if (error instanceof Deno.errors.ConnectionRefused) return told("nothing listens there");
  return told(message);
}
