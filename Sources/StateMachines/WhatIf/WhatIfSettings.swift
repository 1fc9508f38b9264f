// The settings that a what-if changes; everything else stays as the log says.

package import EventModel

/// Changed settings; what is nil or empty stays as recorded.
package struct WhatIfSettings: Sendable, Hashable {
    /// What is changed of mirrors.
    package struct MirrorChange: Sendable, Hashable {
        /// Which one; nil: every mirror.
        package var mirrorID: String?
        package var mode: MirrorMode?
        /// Of 10,000 requests.
        package var sampleRateBasisPoints: UInt32?
        /// Nil: as recorded; empty: every intent.
        package var includeIntents: [String]?
        package var excludeIntents: [String]?
        package var enabled: Bool?
        package var allowWrites: Bool?

        package init() {}

        /// Whether nothing is changed.
        package var isEmpty: Bool {
            var other = self
            other.mirrorID = nil
            return other == MirrorChange()
        }

        func concerns(_ configuration: MirrorConfiguration) -> Bool {
            mirrorID.map { $0.equalsInBytes(configuration.mirrorID) } ?? true
        }

        func applied(to configuration: MirrorConfiguration) -> MirrorConfiguration {
            var result = configuration
            if let mode { result.mode = mode }
            if let sampleRateBasisPoints { result.sampleRateBasisPoints = sampleRateBasisPoints }
            if let includeIntents { result.includeIntents = includeIntents }
            if let excludeIntents { result.excludeIntents = excludeIntents }
            if let enabled { result.enabled = enabled }
            if let allowWrites { result.allowWrites = allowWrites }
            return result
        }
    }

    package var registry = RegistryConfiguration()
    package var mirror = MirrorChange()
    /// How recorded selections are made anew.
    package var strategy: SelectionStrategy?
    /// The k of decision 20.
    package var anomalyFactor: Int64?
    package var anomalyThreshold: Nanoseconds?
    /// Objectives of services, in the place of those there are.
    package var objectives: [NamedObjective] = []

    package init() {}

    /// Whether nothing is changed.
    package var isEmpty: Bool { self == WhatIfSettings() }
    var changesRegistry: Bool { registry != RegistryConfiguration() }
    var changesTraces: Bool { anomalyFactor != nil || anomalyThreshold != nil || !objectives.isEmpty }

    /// What is wrong with them; nil: nothing.
    package func mistake(over registry: RegistrySettings) -> String? {
        guard let changed = registry.changed(by: self.registry) else { return "a network is none" }
        if let mistake = changed.mistake { return mistake }
        if let rate = mirror.sampleRateBasisPoints, rate > 10_000 { return "a rate has at most 10000 basis points" }
        if let factor = anomalyFactor, !(1...1_000).contains(factor) { return "an anomaly factor lies in 1 to 1000" }
        if let threshold = anomalyThreshold, threshold < .zero { return "an anomaly threshold is not negative" }
        return nil
    }
}

extension ServiceRegistry {
    /// Lays changed settings over the present ones, as a recorded `registry_configured` would; for forks only, since no
    /// record says so. Nothing changes where they are out of range.
    mutating func fork(with change: RegistryConfiguration) {
        guard let changed = settings.applying(change) else { return }
        let isWindowChanged = changed.evictAfter != settings.evictAfter
        settings = changed
        if isWindowChanged { renumberWindows() }
    }
}
