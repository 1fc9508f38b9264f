// Which calls between services a span stands for, told from the span, its parent and its children alone (decision 19).
// Source of the rule: openzipkin/zipkin, DependencyLinker, made local: Zipkin looks past spans without a kind to the next
// one that has one, we look at the parent, so that a late span revises its neighbours and nobody else.

package import EventModel

/// What the rule looks at in a span; names are numbers, so that the machine needs no text.
package struct LinkNode<Name: Hashable & Sendable>: Sendable {
    package var kind: SpanKind
    /// Nil: not known.
    package var service: Name?
    /// The other side as the span itself names it.
    package var peer: Name?
    package var isError: Bool

    package init(kind: SpanKind, service: Name?, peer: Name?, isError: Bool) {
        self.kind = kind
        self.service = service
        self.peer = peer
        self.isError = isError
    }
}

/// One call from one node to another.
package struct LinkCall<Name: Hashable & Sendable>: Sendable, Hashable {
    package var parent: Name
    package var child: Name
    package var isError: Bool
}

/// Links of one span; at most two.
package struct LinkSet<Name: Hashable & Sendable>: Sendable, Hashable {
    package var first: LinkCall<Name>?
    /// A call to this span's own service whose span is missing.
    package var second: LinkCall<Name>?
    /// One side of a call whose other side nobody knows.
    package var isUnpaired = false
}

/// Zipkin's rule for one span.
package enum DependencyRule {
    /// Whether a child shows that a client's call arrived: it is another service's, or says that it serves.
    package static func isRemote<Name>(_ child: LinkNode<Name>, of parent: LinkNode<Name>) -> Bool {
        child.kind == .server || child.kind == .consumer || child.service != parent.service
    }

    /// The calls that a span stands for. `hasRemoteChild` is asked of clients only.
    package static func links<Name>(
        of span: LinkNode<Name>, parent: LinkNode<Name>?, hasRemoteChild: () -> Bool
    ) -> LinkSet<Name> {
        switch span.kind {
        case .client: hasRemoteChild() ? LinkSet() : clientLinks(span, parent)
        case .server: serverLinks(span, parent)
        case .producer: messageLinks(span.service, span.peer, span.isError)
        case .consumer: messageLinks(span.peer, span.service, span.isError)
        case .internal:
            span.peer == nil ? LinkSet() : LinkSet(first: call(span.service, span.peer, span.isError))
        }
    }

    private static func call<Name>(_ parent: Name?, _ child: Name?, _ isError: Bool) -> LinkCall<Name>? {
        guard let parent, let child else { return nil }
        return LinkCall(parent: parent, child: child, isError: isError)
    }

    private static func clientLinks<Name>(_ span: LinkNode<Name>, _ parent: LinkNode<Name>?) -> LinkSet<Name> {
        var result = LinkSet<Name>()
        result.first = call(span.service ?? parent?.service, span.peer, span.isError)
        if let above = parent?.service, let own = span.service, above != own {
            result.second = call(above, own, false)
        }
        result.isUnpaired = span.peer == nil
        return result
    }

    private static func serverLinks<Name>(_ span: LinkNode<Name>, _ parent: LinkNode<Name>?) -> LinkSet<Name> {
        let isParentsError = parent?.kind == .client && parent?.isError == true
        return LinkSet(first: call(parent?.service ?? span.peer, span.service, span.isError || isParentsError))
    }

    private static func messageLinks<Name>(_ from: Name?, _ to: Name?, _ isError: Bool) -> LinkSet<Name> {
        let link = call(from, to, isError)
        return LinkSet(first: link, isUnpaired: link == nil)
    }
}
