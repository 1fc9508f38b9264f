// JSON numbers by their value: exact decimals of any size, never a floating-point number.

/// A number token as sign, significant digits and the power of ten of the first of them.
struct JSONDecimal: Sendable {
    /// Larger exponents are not computed with: such numbers are equal only if they are written alike.
    static let exponentMaximum = 100_000_000_000_000_000

    let isNegative: Bool
    /// From the first significant digit to behind the last, a point perhaps among them; empty for zero.
    let digits: Range<Int>
    /// The power of ten of the first significant digit.
    let magnitude: Int

    /// Reads a valid token; nil where the exponent is beyond the maximum.
    init?(_ token: ArraySlice<UInt8>) {
        isNegative = token.first == UInt8(ascii: "-")
        var first = -1
        var last = -1
        var digitsBeforePoint = 0
        var digitsBeforeFirst = 0
        var isBehindPoint = false
        var index = token.startIndex + (isNegative ? 1 : 0)
        while index < token.endIndex, token[index] | 0x20 != UInt8(ascii: "e") {
            let byte = token[index]
            if byte == UInt8(ascii: ".") {
                isBehindPoint = true
            } else {
                if !isBehindPoint { digitsBeforePoint += 1 }
                if byte != UInt8(ascii: "0") {
                    if first < 0 { first = index }
                    last = index
                }
                if first < 0 { digitsBeforeFirst += 1 }
            }
            index += 1
        }
        guard first >= 0 else {
            digits = token.startIndex..<token.startIndex
            magnitude = 0
            return
        }
        guard let exponent = Self.exponent(token[min(index + 1, token.endIndex)...]) else { return nil }
        digits = first..<last + 1
        magnitude = digitsBeforePoint - digitsBeforeFirst - 1 + exponent
    }

    private static func exponent(_ text: ArraySlice<UInt8>) -> Int? {
        var value = 0
        for byte in text where byte != UInt8(ascii: "-") && byte != UInt8(ascii: "+") {
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
            if value > exponentMaximum { return nil }
        }
        return text.first == UInt8(ascii: "-") ? -value : value
    }

    /// Whether two valid tokens stand for the same number; minus zero is zero.
    static func areEqual(_ one: ArraySlice<UInt8>, _ other: ArraySlice<UInt8>) -> Bool {
        if one.elementsEqual(other) { return true }
        guard let left = JSONDecimal(one), let right = JSONDecimal(other) else { return false }
        if left.digits.isEmpty || right.digits.isEmpty { return left.digits.isEmpty && right.digits.isEmpty }
        guard left.isNegative == right.isNegative, left.magnitude == right.magnitude else { return false }
        return haveSameDigits(one[left.digits], other[right.digits])
    }

    private static func haveSameDigits(_ one: ArraySlice<UInt8>, _ other: ArraySlice<UInt8>) -> Bool {
        let point = UInt8(ascii: ".")
        var (left, right) = (one.startIndex, other.startIndex)
        while true {
            if left < one.endIndex, one[left] == point { left += 1 }
            if right < other.endIndex, other[right] == point { right += 1 }
            guard left < one.endIndex, right < other.endIndex else {
                return left == one.endIndex && right == other.endIndex
            }
            if one[left] != other[right] { return false }
            left += 1
            right += 1
        }
    }

    /// Bytes that are the same for all spellings of one value.
    static func canonical(_ token: ArraySlice<UInt8>) -> [UInt8] {
        guard let value = JSONDecimal(token) else { return Array(token) }
        if value.digits.isEmpty { return [UInt8(ascii: "0")] }
        var result: [UInt8] = value.isNegative ? [UInt8(ascii: "-")] : []
        result += token[value.digits].lazy.filter { $0 != UInt8(ascii: ".") }
        return result + Array("e\(value.magnitude)".utf8)
    }
}
