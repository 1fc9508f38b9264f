// The results of libnats, turned into errors of the port.

internal import CNATS
internal import Messaging

/// Throws unless `status` is good. Call it right after libnats returned: the error's text is kept per thread.
func check(_ status: natsStatus, _ operation: @autoclosure () -> String) throws(BusError) {
    if status == NATS_OK { return }
    throw busError(status, operation())
}

/// What a failed status means to a caller, with the library's own words.
func busError(_ status: natsStatus, _ operation: String) -> BusError {
    BusError(code(of: status), "\(operation): \(lastErrorText(status))")
}

/// What libnats last complained about on this thread, or its name for the status.
func lastErrorText(_ status: natsStatus) -> String {
    var lastStatus = NATS_OK
    if let text = unsafe nats_GetLastError(&lastStatus), lastStatus == status {
        let description = unsafe String(cString: text)
        if !description.isEmpty { return description }
    }
    guard let name = unsafe natsStatus_GetText(status) else { return "status \(status.rawValue)" }
    return unsafe String(cString: name)
}

private func code(of status: natsStatus) -> BusError.Code {
    switch status {
    case NATS_CONNECTION_CLOSED, NATS_DRAINING, NATS_INVALID_SUBSCRIPTION: .closed
    case NATS_NO_SERVER, NATS_NOT_YET_CONNECTED, NATS_CONNECTION_DISCONNECTED, NATS_STALE_CONNECTION, NATS_IO_ERROR,
        NATS_INSUFFICIENT_BUFFER:
        .notConnected
    case NATS_CONNECTION_AUTH_FAILED, NATS_SSL_ERROR, NATS_SECURE_CONNECTION_WANTED, NATS_SECURE_CONNECTION_REQUIRED:
        .authenticationFailed
    case NATS_NOT_PERMITTED: .permissionDenied
    case NATS_MAX_PAYLOAD: .messageTooLarge
    case NATS_INVALID_ARG, NATS_INVALID_SUBJECT, NATS_INVALID_QUEUE_NAME, NATS_ADDRESS_MISSING, NATS_INVALID_TIMEOUT:
        .invalidArgument
    case NATS_TIMEOUT: .timeout
    case NATS_NO_RESPONDERS: .noResponders
    default: .other
    }
}
