# Sends a trace with py_zipkin and prints its id; in an encoding that is refused, the status it got.
# Usage: zipkin_export.py URL json|protobuf
import sys

import requests
from py_zipkin import Encoding, Kind
from py_zipkin.transport import BaseTransportHandler
from py_zipkin.zipkin import zipkin_client_span, zipkin_span


class HTTPTransport(BaseTransportHandler):
    """What py_zipkin's manual tells its users to write."""

    def __init__(self, url, content_type):
        self.url = url
        self.content_type = content_type
        self.statuses = []

    def get_max_payload_bytes(self):
        return None

    def send(self, payload):
        answer = requests.post(self.url, data=payload, headers={"Content-Type": self.content_type}, timeout=20)
        self.statuses.append(answer.status_code)


encoding = Encoding.V2_JSON if sys.argv[2] == "json" else Encoding.V2_PROTO3
kind = "application/json" if sys.argv[2] == "json" else "application/x-protobuf"
transport = HTTPTransport(sys.argv[1] + "/api/v2/spans", kind)
with zipkin_span(
    service_name="pyshop", span_name="checkout", transport_handler=transport, sample_rate=100.0, encoding=encoding,
    kind=Kind.SERVER, binary_annotations={"customer": "7"},
) as span:
    trace = span.zipkin_attrs.trace_id
    with zipkin_client_span(service_name="pyshop", span_name="charge"):
        pass
if sys.argv[2] == "json":
    assert transport.statuses == [202], transport.statuses
else:
    print(transport.statuses)
print(trace.zfill(32))
