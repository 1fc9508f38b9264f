// Times as people write them (RFC 3339) into nanoseconds since the Unix epoch, to the digit and without Foundation.

/// Reads the date-times of RFC 3339, section 5.6.
///
/// Any offset, at most nine digits of fraction, `T` and `Z` in either case. A leap second (`:60`) is refused, since
/// Unix time has no name for it and a silently shifted time would be worse than a refusal.
enum JSONTime {
    /// The moment; nil where the text is not a date-time or lies outside of 1677 to 2262.
    static func nanoseconds(_ text: [UInt8]) -> Int64? {
        var reader = DigitReader(text: text)
        guard let year = reader.number(4), reader.take("-"), let month = reader.number(2), reader.take("-"),
            let day = reader.number(2), reader.take("T") || reader.take("t"), let hour = reader.number(2),
            reader.take(":"), let minute = reader.number(2), reader.take(":"), let second = reader.number(2),
            let fraction = reader.fraction(), let offset = reader.offset(), reader.isAtEnd
        else { return nil }
        guard (1677...2262).contains(year), (1...12).contains(month), day >= 1, day <= days(of: month, in: year),
            hour < 24, minute < 60, second < 60
        else { return nil }
        let seconds = (epochDay(year, month, day) * 24 + hour) * 3_600 + minute * 60 + second - offset
        return join(seconds: seconds, nanoseconds: fraction)
    }

    /// Seconds and a fraction of zero or more, without overflow on the way to the smallest moment.
    private static func join(seconds: Int64, nanoseconds: Int64) -> Int64? {
        let isEarly = seconds < 0 && nanoseconds > 0
        let (whole, overflow) = (isEarly ? seconds + 1 : seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let (result, outside) = whole.addingReportingOverflow(isEarly ? nanoseconds - 1_000_000_000 : nanoseconds)
        return overflow || outside ? nil : result
    }

    private static func days(of month: Int64, in year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days since 1970-01-01 in the Gregorian calendar: years begin in March, so that the leap day is last.
    private static func epochDay(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let marchYear = month <= 2 ? year - 1 : year
        let marchMonth = (month + 9) % 12
        let leapDays = marchYear / 4 - marchYear / 100 + marchYear / 400
        return marchYear * 365 + leapDays + (marchMonth * 153 + 2) / 5 + day - 1 - 719_468
    }
}

/// Takes digits and signs from the front of a text.
private struct DigitReader {
    let text: [UInt8]
    var position = 0

    var isAtEnd: Bool { position == text.count }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < text.count, text[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    /// Exactly so many digits.
    mutating func number(_ width: Int) -> Int64? {
        guard text.count - position >= width else { return nil }
        var result: Int64 = 0
        for _ in 0..<width {
            guard let digit = digit() else { return nil }
            result = result * 10 + digit
        }
        return result
    }

    private mutating func digit() -> Int64? {
        guard position < text.count, text[position] &- UInt8(ascii: "0") < 10 else { return nil }
        position += 1
        return Int64(text[position - 1] - UInt8(ascii: "0"))
    }

    /// A fraction of a second in nanoseconds; 0 where there is none; nil where it is empty or longer than nine digits.
    mutating func fraction() -> Int64? {
        guard take(".") else { return 0 }
        guard var result = digit() else { return nil }
        var scale: Int64 = 100_000_000
        result *= scale
        while let next = digit() {
            scale /= 10
            if scale == 0 { return nil }
            result += next * scale
        }
        return result
    }

    /// Seconds east of Greenwich.
    mutating func offset() -> Int64? {
        if take("Z") || take("z") { return 0 }
        let isEast = take("+")
        guard isEast || take("-"), let hours = number(2), take(":"), let minutes = number(2), hours < 24, minutes < 60
        else { return nil }
        return (isEast ? 1 : -1) * (hours * 3_600 + minutes * 60)
    }
}

extension Timestamp {
    /// Reads a date-time of RFC 3339 to the digit; nil where the text is not one, or outside of 1677 to 2262.
    package init?(rfc3339 text: String) {
        guard let nanoseconds = JSONTime.nanoseconds(Array(text.utf8)) else { return nil }
        self.init(nanoseconds: nanoseconds)
    }
}
