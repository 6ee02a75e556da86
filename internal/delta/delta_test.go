// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/frame"
)

const testLimit = 64 << 20

func noise(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 4))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// text returns n bytes that resemble an agent's state.
func text(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 2))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, `{"step":%d,"role":"assistant","content":"%x and then %d"},`, rng.IntN(1e6), rng.Uint64(), rng.IntN(100))
	}
	return b.Bytes()[:n]
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// roundTrip returns the delta, after showing that it gives the target back and
// that Check and Inspect say the same.
func roundTrip(tb testing.TB, base, target []byte) []byte {
	tb.Helper()
	d := Encode(base, target)
	got, err := Apply(base, d, int64(len(target)))
	if err != nil || !bytes.Equal(got, target) {
		tb.Fatalf("%d to %d bytes: %d came back, %v", len(base), len(target), len(got), err)
	}
	if size, err := Check(d, int64(len(base)), int64(len(target))); err != nil || size != int64(len(target)) {
		tb.Fatalf("check: %d, %v", size, err)
	}
	if info, err := Inspect(d); err != nil || info != (Info{int64(len(base)), int64(len(target))}) {
		tb.Fatalf("inspect: %+v, %v", info, err)
	}
	return d
}

// Every change gives the target back, and those that agents make give a delta
// that is as short as the change.
func TestEncode_RoundTrip(t *testing.T) {
	a, b, c := text(1, 100<<10), text(2, 100<<10), noise(3, 3000)
	for name, tc := range map[string]struct {
		base, target []byte
		atMost       int // length of the delta
	}{
		"both empty": {nil, nil, 20}, "from nothing": {nil, c, 3050}, "to nothing": {c, nil, 20}, "equal": {a, a, 20}, "one byte": {[]byte("a"), []byte("b"), 20},
		"append": {a, join(a, c), 3050}, "prepend": {a, join(c, a), 3050}, "insert": {join(a, b), join(a, c, b), 3050},
		"cut out of the middle": {join(a, c, b), join(a, b), 40}, "replace": {join(a, []byte("old"), b), join(a, []byte("new"), b), 40},
		"front and end": {join([]byte(`{"step":1}`), a), join([]byte(`{"step":22}`), a, c), 3060},
		"swap":          {join(a, b), join(b, a), 60}, "doubled": {a, join(a, a, a), 60}, "nothing in common": {noise(5, 5000), noise(6, 5000), 5030},
		"shorter than a hash": {[]byte("abcdefghijklmno"), []byte("bcdefghijklmnoabcdefghijklmno"), 50},
		"scattered":           {join(a, b), join(b[:50<<10], c[:10], a[20<<10:70<<10], c[10:20], b[60<<10:]), 100},
	} {
		if d := roundTrip(t, tc.base, tc.target); len(d) > tc.atMost {
			t.Errorf("%s: the delta has %d bytes, at most %d are in order", name, len(d), tc.atMost)
		}
	}
}

// A base above what the index holds densely is indexed more thinly, and what
// moved in it is still found.
func TestEncode_LargeBase(t *testing.T) {
	base := noise(1, 40<<20)
	target := join([]byte("front"), base[30<<20:], []byte("middle"), base[:20<<20], []byte("end"))
	if d := roundTrip(t, base, target); len(d) > 2000 {
		t.Errorf("the delta has %d bytes", len(d))
	}
	var x index
	if x.build(base, 0, len(base)); len(x.next) > maxEntries || len(x.first) > 2*maxEntries {
		t.Errorf("%d entries in %d", len(x.next), len(x.first))
	}
}

// Claim: hostile input takes time near linear in its length. Method: 2 MiB of
// what makes matching look again and again. It takes a tenth of a second; were
// each byte compared with all others, it would be minutes.
func TestEncode_NearLinearOnHostileInput(t *testing.T) {
	const n = 2 << 20
	repeated := func(s string, n int) []byte { return bytes.Repeat([]byte(s), n/len(s)+1)[:n] }
	sawtooth := func(n int) []byte { // runs that agree for long and then do not
		var b bytes.Buffer
		for i := 0; b.Len() < n; i++ {
			b.Write(bytes.Repeat([]byte("a"), 200+i%50))
			fmt.Fprintf(&b, "%d", i)
		}
		return b.Bytes()[:n]
	}
	blocks := func(seed uint64, n int) []byte { // equal hashed places, other surroundings
		var b bytes.Buffer
		for i := 0; b.Len() < n; i++ {
			b.WriteString("0123456789abcdef")
			b.Write(noise(seed+uint64(i), 16))
		}
		return b.Bytes()[:n]
	}
	for name, tc := range map[string]struct{ base, target []byte }{
		"run":        {repeated("a", n), join([]byte("b"), repeated("a", n), []byte("c"))},
		"period 7":   {repeated("abcdefg", n), repeated("bacdefg", n)},
		"period 16":  {repeated("0123456789abcdef", n), join([]byte("x"), repeated("123456789abcdef0", n))},
		"sawtooth":   {sawtooth(n), join([]byte("x"), sawtooth(n)[777:], []byte("x"))},
		"blocks":     {blocks(1, n), blocks(1<<32, n)},
		"noise":      {noise(1, n), noise(2, n)},
		"run, noise": {repeated("a", n), noise(2, n)},
	} {
		start := time.Now()
		roundTrip(t, tc.base, tc.target)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
}

// Encoding gives up exactly when more literals are needed than allowed, and
// without memory in proportion to what it saw.
func TestEncodeWithin_GivesUp(t *testing.T) {
	base := text(1, 100<<10)
	target := join(noise(1, 1000), base, noise(2, 2000))
	if d, ok := EncodeWithin(base, target, 3000); !ok || !bytes.Equal(d, Encode(base, target)) {
		t.Errorf("3000 literals are enough: %v", ok)
	}
	if d, ok := EncodeWithin(base, target, 2999); ok || d != nil {
		t.Error("2999 literals cannot be enough")
	}
	if _, ok := EncodeWithin(base, base, 0); !ok {
		t.Error("equal states need none")
	}
	large, other := noise(3, 8<<20), noise(4, 8<<20)
	EncodeWithin(large, other, 6<<20) // fills the pool
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, ok := EncodeWithin(large, other, 6<<20); ok {
		t.Error("noise took less than its length")
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 6<<20 {
		t.Errorf("giving up allocated %d bytes", got)
	}
}

// Encode and Apply may be called at the same time: pooled memory is not shared.
func TestEncode_Concurrently(t *testing.T) {
	var wg sync.WaitGroup
	for i := range uint64(8) {
		wg.Go(func() {
			base := text(i, 50<<10)
			for j := range uint64(10) {
				target := join(text(i*100+j, 300), base[:int(j)*4000], text(j, 2000), base[int(j)*4000:])
				if got, err := Apply(base, Encode(base, target), testLimit); err != nil || !bytes.Equal(got, target) {
					t.Errorf("%d, %d: %v", i, j, err)
				}
			}
		})
	}
	wg.Wait()
}

// Memory that is handed in is used when it suffices, and has no influence.
func TestApplyInto_Memory(t *testing.T) {
	base, target := text(1, 5000), join(text(1, 5000), text(2, 500))
	d := Encode(base, target)
	for _, have := range []int{0, 100, 5499, 5500, 9000} {
		dst := bytes.Repeat([]byte{0xff}, have)
		got, err := ApplyInto(dst, base, d, testLimit)
		if err != nil || !bytes.Equal(got, target) {
			t.Errorf("%d bytes: %v", have, err)
		}
		if reused := have > 0 && &got[0] == &dst[0]; reused != (have >= len(target)) {
			t.Errorf("%d bytes: reused: %v", have, reused)
		}
	}
}

// built returns a delta with these ops and literals and a right checksum.
func built(baseSize, size int64, ops []byte, literals string) []byte {
	w := header{Info: Info{baseSize, size}, literals: int64(len(literals)), crc: checksum([]byte(literals)), ops: ops, packed: []byte(literals)}
	return w.append(nil)
}

// append appends a delta as h says, right or wrong.
func (h header) append(dst []byte) []byte {
	format := byte(formatRaw)
	if h.zstd {
		format = formatZstd
	}
	return append(h.appendHead(dst, format), h.packed...)
}

// What no encoder makes is refused by Apply and by Check alike.
func TestApply_RefusesHostileBytes(t *testing.T) {
	base := []byte("0123456789")
	bomb := header{Info: Info{10, testLimit}, zstd: true, literals: testLimit, packed: frame.Pack(nil, make([]byte, 1000), frame.Fast)}
	mixed := header{Info: Info{10, 5000}, zstd: true, literals: 5000, ops: []byte{0x88, 0x27}, packed: frame.Pack(nil, text(1, 5000), frame.Fast), crc: checksum(text(1, 5000))}
	trailing := mixed
	trailing.packed = append(bytes.Clone(mixed.packed), 0)
	damaged := mixed
	damaged.crc++
	overflow := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}
	for name, tc := range map[string]struct {
		delta []byte
		want  error
	}{
		"empty":                     {nil, hawser.ErrCorrupt},
		"format":                    {[]byte{0x12, 10, 0, 0, 0, 0, 0, 0, 0}, hawser.ErrCorrupt},
		"cut header":                {[]byte{formatRaw, 10, 1, 1, 0, 0, 0}, hawser.ErrCorrupt},
		"long varint":               {[]byte{formatRaw, 0x8a, 0, 0, 0, 0, 0, 0, 0, 0}, hawser.ErrCorrupt},
		"overflow":                  {join([]byte{formatRaw, 10}, overflow, []byte{0, 0, 0, 0, 0, 0}), hawser.ErrCorrupt},
		"base size":                 {built(9, 3, []byte{0, 0, 3}, ""), hawser.ErrCorrupt},
		"too large":                 {built(10, testLimit+1, nil, ""), hawser.ErrTooLarge},
		"size without ops":          {built(10, 1, nil, ""), hawser.ErrCorrupt},
		"ops without size":          {built(10, 0, []byte{0}, ""), hawser.ErrCorrupt},
		"ops cut":                   {built(10, 3, []byte{0, 0}, ""), hawser.ErrCorrupt},
		"ops end early":             {built(10, 4, []byte{0, 0, 3}, ""), hawser.ErrCorrupt},
		"ops go on":                 {built(10, 3, []byte{0, 0, 3, 0, 0, 1}, ""), hawser.ErrCorrupt},
		"copies nothing":            {built(10, 3, []byte{0, 0, 0, 0, 0, 3}, ""), hawser.ErrCorrupt},
		"copies before base":        {built(10, 3, []byte{0, 1, 3}, ""), hawser.ErrCorrupt},
		"copies behind base":        {built(10, 3, []byte{0, 16, 3}, ""), hawser.ErrCorrupt},
		"copies too much":           {built(10, 3, []byte{0, 0, 4}, ""), hawser.ErrCorrupt},
		"distance overflows":        {built(10, 3, join([]byte{0}, overflow, []byte{3}), ""), hawser.ErrCorrupt},
		"length overflows":          {built(10, 3, join([]byte{0, 0}, overflow), ""), hawser.ErrCorrupt},
		"inserts too much":          {built(10, 3, []byte{4}, "abc"), hawser.ErrCorrupt},
		"inserts too little":        {built(10, 3, []byte{2, 0, 1}, "abc"), hawser.ErrCorrupt},
		"copies over the literals":  {built(10, 5, []byte{0, 0, 5}, "abc"), hawser.ErrCorrupt},
		"more literals than target": {built(10, 2, []byte{2}, "abc"), hawser.ErrCorrupt},
		"literals cut":              {built(10, 3, []byte{3}, "abc")[:11], hawser.ErrCorrupt},
		"literals go on":            {append(built(10, 3, []byte{3}, "abc"), 'd'), hawser.ErrCorrupt},
		"bomb":                      {bomb.append(nil), hawser.ErrCorrupt},
		"literals' checksum":        {damaged.append(nil), hawser.ErrCorrupt},
		"literals' frame":           {trailing.append(nil), hawser.ErrCorrupt},
	} {
		if _, err := Apply(base, tc.delta, testLimit); !errors.Is(err, tc.want) {
			t.Errorf("%s: apply: %v, want %v", name, err, tc.want)
		}
		if _, err := Check(tc.delta, int64(len(base)), testLimit); !errors.Is(err, tc.want) {
			t.Errorf("%s: check: %v, want %v", name, err, tc.want)
		}
	}
	for name, tc := range map[string]struct {
		delta []byte
		want  string
	}{
		"copy":             {built(10, 3, []byte{0, 14, 3}, ""), "789"},
		"literals":         {built(10, 3, []byte{3}, "abc"), "abc"},
		"back and forth":   {built(10, 9, []byte{1, 6, 2, 0, 9, 3, 2, 2, 1}, "abc"), "a34" + "012" + "bc" + "4"},
		"packed":           {mixed.append(nil), string(text(1, 5000))},
		"nothing":          {built(10, 0, nil, ""), ""},
		"copied two times": {built(10, 20, []byte{0, 0, 10, 0, 19, 10}, ""), "01234567890123456789"},
	} {
		got, err := Apply(base, tc.delta, testLimit)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %.40q, %v", name, got, err)
		}
	}
}

// A damaged delta gives an error or some target of the declared size.
func TestApply_BitFlips(t *testing.T) {
	base := text(1, 3000)
	good := Encode(base, join(text(2, 300), base[:1000], text(3, 100), base[1500:]))
	unnoticed := 0
	for i := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		got, err := Apply(base, bad, 4000)
		if _, checked := Check(bad, int64(len(base)), 4000); (checked == nil) != (err == nil) {
			t.Fatalf("bit %d of byte %d: apply: %v, check: %v", i%8, i/8, err, checked)
		}
		if info, _ := Inspect(bad); err == nil && (int64(len(got)) != info.Size || len(got) > 4000) {
			t.Fatalf("bit %d of byte %d: %d bytes", i%8, i/8, len(got))
		}
		if err == nil {
			unnoticed++
		}
	}
	if unnoticed > len(good)*8/20 {
		t.Errorf("%d of %d flips give another target", unnoticed, len(good)*8)
	}
}

// Errors name the package's work and what is wrong.
func TestErrors_SayWhat(t *testing.T) {
	_, err := Apply([]byte("0123456789"), built(9, 3, []byte{0, 0, 3}, ""), 100)
	if want := "delta: corrupt: is for a base of 9 bytes, this one has 10"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}
