package item

import (
	"bytes"
	"math/big"
	"strings"
	"testing"
)

func TestNumbersAreKeptInCanonicalForm(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "+0.000": "0", "0e5": "0", "1": "1", "00042": "42", "-00042": "-42", "1.0": "1",
		"3.1400": "3.14", "1.5E2": "150", "1.5e+2": "150", "150e-2": "1.5", ".5": "0.5", "5.": "5", "-0.0010": "-0.001",
		"100": "100", "1e3": "1000", "12345678901234567890123456789012345678": "12345678901234567890123456789012345678",
		"1E-130": "0." + strings.Repeat("0", 129) + "1", "1E125": "1" + strings.Repeat("0", 125),
		"9.9999999999999999999999999999999999999E+125": strings.Repeat("9", 38) + strings.Repeat("0", 88),
		"0.00000000000000000000000000000000000001":     "0.00000000000000000000000000000000000001",
		"1" + strings.Repeat("0", 60):                  "1" + strings.Repeat("0", 60),
	} {
		got, msg := canonical(in)
		if got != want || msg != "" {
			t.Errorf("canonical(%q) = %q, %q; want %q", in, got, msg, want)
		}
		if again, _ := canonical(got); again != got {
			t.Errorf("canonical(%q) = %q: the canonical form is not stable", got, again)
		}
	}
}

func TestNumbersThatAreRefused(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "The parameter cannot be converted to a numeric value",
		"b":                       "The parameter cannot be converted to a numeric value: b",
		"1 ":                      "The parameter cannot be converted to a numeric value: 1 ",
		"--1":                     "The parameter cannot be converted to a numeric value: --1",
		"1.2.3":                   "The parameter cannot be converted to a numeric value: 1.2.3",
		"1e":                      "The parameter cannot be converted to a numeric value: 1e",
		"1e+-2":                   "The parameter cannot be converted to a numeric value: 1e+-2",
		".":                       "The parameter cannot be converted to a numeric value: .",
		"NaN":                     "The parameter cannot be converted to a numeric value: NaN",
		"0x10":                    "The parameter cannot be converted to a numeric value: 0x10",
		"1e126":                   "Number overflow. Attempting to store a number with magnitude larger than supported range",
		"-1e126":                  "Number overflow. Attempting to store a number with magnitude larger than supported range",
		"1e-131":                  "Number underflow. Attempting to store a number with magnitude smaller than supported range",
		"-1e-131":                 "Number underflow. Attempting to store a number with magnitude smaller than supported range",
		"1e99999999999999999999":  "Number overflow. Attempting to store a number with magnitude larger than supported range",
		"1e-99999999999999999999": "Number underflow. Attempting to store a number with magnitude smaller than supported range",
		"123456789012345678901234567890123456789":     "Attempting to store more than 38 significant digits in a Number",
		"-1.23456789012345678901234567890123456789":   "Attempting to store more than 38 significant digits in a Number",
		"1000000000000000000000000000000000000.00001": "Attempting to store more than 38 significant digits in a Number",
	} {
		if got := N(in).Err(); got != want {
			t.Errorf("N(%q).Err() = %q, want %q", in, got, want)
		}
	}
}

func TestArithmetic(t *testing.T) {
	for _, c := range []struct{ a, b, sum, difference string }{
		{"1", "2", "3", "-1"},
		{"0.1", "0.2", "0.3", "-0.1"},
		{"-5", "5", "0", "-10"},
		{"999999999999999999", "1", "1000000000000000000", "999999999999999998"},
		{"99999999999999999999999999999999999998", "1", "99999999999999999999999999999999999999", "99999999999999999999999999999999999997"},
		{"1e125", "-1e125", "0", "2" + strings.Repeat("0", 125)},
		{"1.5", "1e3", "1001.5", "-998.5"},
	} {
		if got := Add(N(c.a), N(c.b)).Text(); got != c.sum {
			t.Errorf("%s + %s = %q, want %q", c.a, c.b, got, c.sum)
		}
		if got := Sub(N(c.a), N(c.b)).Text(); got != c.difference {
			t.Errorf("%s - %s = %q, want %q", c.a, c.b, got, c.difference)
		}
	}
	if got := Add(N("9.9e125"), N("9.9e125")).Err(); !strings.HasPrefix(got, "Number overflow") {
		t.Errorf("overflowing sum: %q", got)
	}
	if got := Add(N("1e125"), N("1")).Err(); !strings.Contains(got, "38 significant digits") {
		t.Errorf("sum beyond the precision: %q", got)
	}
}

// The lengths are those that the service was measured to count (figures published by the
// dynamodb-conformance project, 2026-08).
func TestNumberSizes(t *testing.T) {
	for in, want := range map[string]int{
		"0": 1, "-0": 1, "1": 2, "12": 2, "123": 3, "1234": 3, "12345678901234567890123456789012345678": 20,
		"0042": 2, "100": 2, "1010": 3, "0.0000001": 2, "1E125": 2, "1E-100": 2, "1.5": 3, "15": 2, "1.2": 3,
		"1.200": 3, "1.234": 4, "3.14159": 5, "123456": 4, "100.5": 4, "0.15": 2, "-42": 3,
	} {
		if got := N(in).Size(); got != want {
			t.Errorf("N(%q).Size() = %d, want %d", in, got, want)
		}
	}
}

// Every pair of numbers must sort the same way by value (math/big as the judge), by Compare and by
// the bytes of their keys, and the keys must not run into one another.
func FuzzNumberOrder(f *testing.F) {
	for _, s := range []string{"0", "1", "-1", "10", "9.99", "-9.99", "1e-130", "-1e-130", "9e125", "-9e125", "123456789.000001", "100", "99"} {
		for _, u := range []string{"0", "1.5", "-1.5", "1e125", "99", "101"} {
			f.Add(s, u)
		}
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := N(a), N(b)
		if x.Err() != "" || y.Err() != "" {
			return
		}
		rx, _ := new(big.Rat).SetString(x.Text())
		ry, _ := new(big.Rat).SetString(y.Text())
		want := rx.Cmp(ry)
		if got, ok := Compare(x, y); got != want || !ok {
			t.Fatalf("Compare(%s, %s) = %d, want %d", x.Text(), y.Text(), got, want)
		}
		kx, ky := AppendKey(nil, x), AppendKey(nil, y)
		if got := bytes.Compare(kx, ky); got != want {
			t.Fatalf("keys of %s and %s order %d, want %d (% x, % x)", x.Text(), y.Text(), got, want, kx, ky)
		}
		if want != 0 && (bytes.HasPrefix(kx, ky) || bytes.HasPrefix(ky, kx)) {
			t.Fatalf("a key is the beginning of another: % x, % x", kx, ky)
		}
		total := Add(x, y)
		if total.Err() == "" {
			got, _ := new(big.Rat).SetString(total.Text())
			if got.Cmp(new(big.Rat).Add(rx, ry)) != 0 {
				t.Fatalf("%s + %s = %s", x.Text(), y.Text(), total.Text())
			}
		}
	})
}
