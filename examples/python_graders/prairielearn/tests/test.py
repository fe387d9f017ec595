from code_feedback import Feedback
from pl_helpers import name, points
from pl_unit_test import PLTestCase


class Test(PLTestCase):
    def check(self, layer):
        g = self.ref.g
        weights = {number: W.copy() for number, W in g.W.items()}
        dW = Feedback.call_user(self.st.backward, g.x.copy(), g.y.copy(), weights)
        try:
            g.check(dW={layer: dW[layer]})
        except (AssertionError, LookupError, TypeError, ValueError) as wrong:
            # A failed assertion alone would cost the points without a word.
            Feedback.add_feedback(f"{type(wrong).__name__}: {wrong}")
            Feedback.set_score(0)
        else:
            Feedback.set_score(1)

    @points(2)
    @name("dW³")
    def test_1(self):
        self.check(3)

    @points(4)
    @name("dW²")
    def test_2(self):
        self.check(2)

    @points(4)
    @name("dW¹")
    def test_3(self):
        self.check(1)
