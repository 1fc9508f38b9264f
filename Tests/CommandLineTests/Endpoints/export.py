# Exports a trace with OpenTelemetry's SDK and prints what it sent, one span a line, as JSON.
# Usage: export.py http|grpc ENDPOINT [CERTIFICATES TOKEN]
import json
import os
import sys

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags


class Recorder(SpanExporter):
    """Keeps what was handed to the exporter, and what came of it."""

    def __init__(self, exporter):
        self.exporter = exporter
        self.spans = []
        self.results = []

    def export(self, spans):
        self.spans += spans
        result = self.exporter.export(spans)
        self.results.append(result)
        return result

    def shutdown(self):
        self.exporter.shutdown()


def exporter(kind, endpoint, certificates=None, token=None):
    headers = {"authorization": "Bearer " + token} if token else None
    if kind == "grpc":
        from grpc import Compression, ssl_channel_credentials
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        if not certificates:
            return OTLPSpanExporter(endpoint=endpoint, insecure=True, compression=Compression.Gzip)
        with open(certificates, "rb") as file:
            credentials = ssl_channel_credentials(file.read())
        return OTLPSpanExporter(endpoint=endpoint, credentials=credentials, headers=headers,
                                compression=Compression.Gzip)
    if certificates:
        # Where these are set, the HTTP library takes them instead of what the exporter was told.
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            os.environ.pop(name, None)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    return OTLPSpanExporter(endpoint=endpoint + "/v1/traces", certificate_file=certificates, headers=headers,
                            compression=Compression.Gzip)


def main():
    recorder = Recorder(exporter(*sys.argv[1:]))
    provider = TracerProvider(resource=Resource.create({"service.name": "python-shop", "build": 7}))
    provider.add_span_processor(BatchSpanProcessor(recorder))
    tracer = provider.get_tracer("shop.orders", "1.2.3")
    other = SpanContext(0x11, 0x22, is_remote=True, trace_flags=TraceFlags(1))
    attributes = {
        "text": "größe \"x\"\n", "flag": True, "count": -5, "share": 0.25, "list": ["a", "b"], "numbers": [1, 2, 3],
    }
    with tracer.start_as_current_span("POST /orders", kind=SpanKind.SERVER, attributes=attributes,
                                      links=[Link(other, {"why": "retry"})]) as span:
        span.add_event("validated", {"items": 3, "ok": False})
        for number in range(20):
            with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT, attributes={"row": number}):
                pass
        try:
            # The SDK records the exception as an event and as the span's status.
            with tracer.start_as_current_span("charge"):
                raise ValueError("card declined")
        except ValueError:
            pass
    provider.shutdown()
    assert all(result is SpanExportResult.SUCCESS for result in recorder.results), recorder.results
    for span in recorder.spans:
        print(json.dumps(json.loads(span.to_json(indent=None))))


main()
